-- How many rows a small source has.
select count(*) as row_count
from :source
