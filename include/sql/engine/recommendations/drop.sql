-- Everything is listed; the next step in the same transaction starts with nothing.
drop table pg_temp.picked_people, pg_temp.picked_items, pg_temp.audience
