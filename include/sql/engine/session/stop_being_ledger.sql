-- Gives the transaction its own role back.
select set_config('role', 'none', true)
