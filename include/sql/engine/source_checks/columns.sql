-- The columns that a mapping gives, and their types as Postgres spells them.
select
    attributes.attname as name,
    format_type(attributes.atttypid, null) as type_name
from pg_attribute as attributes
where
    attributes.attrelid = cast('pg_temp.mapped' as regclass)
    and attributes.attnum > 0
order by attributes.attnum
