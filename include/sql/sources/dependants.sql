-- Children, pets and others a customer told us about, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.dependants as
select
    dependants.customer_id,
    dependants.name,
    dependants.birthday
from imported.dependants as dependants
