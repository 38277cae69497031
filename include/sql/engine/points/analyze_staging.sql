-- Tells the planner how much was found.
analyze pg_temp.staged_points
