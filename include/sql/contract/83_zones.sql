-- The time zones that a person's `timezone` may name; a name that is not among them would end the whole statement.
create or replace view shop.zones as
select zones.zone
from lifecycle.zones as zones
