-- The reader sees the contract and may call as_of(); nothing else is granted to it.
grant usage on schema shop, lifecycle to lifecycle_reader;
grant select on all tables in schema shop to lifecycle_reader;
