-- How many requests brought them.
select count(*) as requests
from requests
