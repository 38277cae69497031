-- Which messages were decided about, as digests that say nothing to whoever does not know the fact: all that the role
-- of the segments sees of them, so that a segment is read without those who were decided about (undecided.sql).
create or replace view lifecycle.decided as
select messages.message_id
from lifecycle.messages as messages
