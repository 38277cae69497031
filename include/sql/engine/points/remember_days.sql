-- Remembers which days were accrued.
insert into lifecycle.accrued_days (programme, day)
select
    :programme as programme,
    days.day
from unnest(cast(:days as date[])) as days (day)
on conflict (programme, day) do nothing
