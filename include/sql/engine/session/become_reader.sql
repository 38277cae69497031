-- From here on the transaction sees the contract views only and writes nothing, and no statement may run longer than
-- :timeout.
-- All rows of an analyst's file are read: without `cursor_tuple_fraction` Postgres hurries to the first ones, and takes
-- minutes for the rest.
select
    set_config('transaction_read_only', 'on', true),
    set_config('statement_timeout', :timeout, true),
    set_config('cursor_tuple_fraction', '1', true),
    set_config('role', 'lifecycle_reader', true)
