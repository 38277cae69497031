-- Tells the planner for how many is looked.
analyze pg_temp.audience
