-- How many people each step has in a run.
select
    selections.step,
    selections.people
from lifecycle.selections as selections
where selections.run_id = :run_id
