-- How many rows Postgres believes a source has, from statistics, whatever view it is.
explain (format json)
select 1
from :source
