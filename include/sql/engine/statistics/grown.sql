-- Whether a table has grown by so many rows that what Postgres knows about it misleads; -1 means it knows nothing.
select bool_or(:added_rows > 500 and :added_rows > 0.5 * tables.reltuples) as has_grown
from pg_class as tables
where tables.oid in (
    'lifecycle.audiences'::regclass, 'lifecycle.enrollments'::regclass, 'lifecycle.messages'::regclass
)
