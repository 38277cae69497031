-- One request as it came in.
select body
from requests
where request_id = :request_id
