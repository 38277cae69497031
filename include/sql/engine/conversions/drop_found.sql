-- The goal's rows are matched; a replay in the same transaction starts with none.
drop table pg_temp.found_conversions
