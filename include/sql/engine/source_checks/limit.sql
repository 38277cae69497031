-- From here on no statement of the transaction runs longer than :timeout.
select set_config('statement_timeout', :timeout, true)
