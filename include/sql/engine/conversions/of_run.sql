-- Who was found converted by this run, the same answer however often the run is repeated.
select distinct conversions.customer_id
from lifecycle.conversions as conversions
where conversions.run_id = :run_id
order by conversions.customer_id
