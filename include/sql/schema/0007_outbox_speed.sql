-- The outbox at full speed: what docs/decisions/0017-outbox-layout.md measured.

-- Each of these was checked row by row, and locked the row it points at, millions of times a day. What they guard is
-- guarded elsewhere: the run, the audience and the message are read in the statement that writes the reference.
alter table lifecycle.messages drop constraint messages_run_id_fkey;
alter table lifecycle.audiences drop constraint audiences_run_id_fkey;
alter table lifecycle.attempts drop constraint attempts_message_id_fkey;
alter table lifecycle.links drop constraint links_message_id_fkey;

-- A claim reads the queue of a step in the order of its ids, which is the order the messages lie in, and stops after
-- its chunk. Ids are digests, so a range of them is a fair share of the people: a shard.
drop index lifecycle.messages_queued;
create index messages_queued on lifecycle.messages (journey, step, message_id) where send_state = 'queued';

-- Stable, although its answer never changes: only so does Postgres take the expression into the statement instead of
-- calling a function per address.
alter function lifecycle.address_hash(text) stable;
