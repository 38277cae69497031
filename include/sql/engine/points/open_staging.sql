-- Rules run as the analysts' role, and so does the insert around them.
grant insert on pg_temp.staged_points to lifecycle_reader
