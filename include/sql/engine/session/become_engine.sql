-- Gives the transaction its own role back.
select
    set_config('role', 'none', true),
    set_config('statement_timeout', '0', true)
