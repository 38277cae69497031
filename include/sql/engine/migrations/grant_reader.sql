-- The reader sees the contract and may call as_of(); besides it sees which messages were decided about, as digests.
grant usage on schema shop, lifecycle to lifecycle_reader;
grant select on all tables in schema shop to lifecycle_reader;
grant select on lifecycle.decided to lifecycle_reader;
