-- From here on the transaction sees the contract views only, and no statement may run longer than :timeout.
select
    set_config('statement_timeout', :timeout, true),
    set_config('role', 'lifecycle_reader', true)
