-- How many events and callbacks wait, are done or were given up.
select
    state,
    count(*) as happenings
from happenings
group by state
