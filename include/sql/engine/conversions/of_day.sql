-- Who reached the goal on the day before a run, the same answer however often and in whatever order days are run.
select distinct conversions.customer_id
from lifecycle.conversions as conversions
where
    conversions.journey = :journey
    and conversions.converted_at < :as_of
    and conversions.converted_at >= cast(:as_of as timestamptz) - interval '1 day'
order by conversions.customer_id
