-- Files run as the analysts' role, and so does the insert around them.
grant insert on pg_temp.picked_items to lifecycle_reader
