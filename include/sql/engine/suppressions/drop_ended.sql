-- The ended enrollments are dealt with; a replay in the same transaction starts with none.
drop table pg_temp.ended_enrollments
