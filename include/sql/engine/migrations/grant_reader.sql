-- The reader sees the contract and may call as_of(); besides it sees which messages were decided about, as digests that
-- say nothing to whoever does not know the fact.
grant usage on schema shop, lifecycle to lifecycle_reader;
grant select on all tables in schema shop to lifecycle_reader;
grant select (message_id) on lifecycle.messages to lifecycle_reader;
