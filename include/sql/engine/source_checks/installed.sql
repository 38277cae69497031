-- Whether the view in the database is the one that the file makes; no row when there is none.
select pg_get_viewdef(views.oid) = pg_get_viewdef(cast('pg_temp.mapped' as regclass)) as is_same
from pg_class as views
inner join pg_namespace as namespaces on views.relnamespace = namespaces.oid
where
    views.relkind = 'v'
    and namespaces.nspname = 'source'
    and views.relname = :name
