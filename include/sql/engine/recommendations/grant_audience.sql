-- The analysts' role reads for whom it looks.
grant select on pg_temp.audience to lifecycle_reader
