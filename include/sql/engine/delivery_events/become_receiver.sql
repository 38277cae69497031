-- From here on the transaction may do what the public receiver may, and no statement takes longer than :timeout.
select
    set_config('statement_timeout', :timeout, true),
    set_config('lock_timeout', :timeout, true),
    set_config('role', 'lifecycle_receiver', true)
