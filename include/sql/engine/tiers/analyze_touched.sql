-- Tells the planner how many accounts are told anew.
analyze pg_temp.touched_accounts
