-- The first and the last day that were accrued.
select
    min(accrued_days.day) as first_day,
    max(accrued_days.day) as last_day
from lifecycle.accrued_days as accrued_days
where accrued_days.programme = :programme
