-- Forgets every request.
delete from requests
