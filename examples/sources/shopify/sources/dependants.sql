-- Shopify knows of no children or pets: none.
create or replace view source.dependants as
select
    cast(null as text) as customer_id,
    cast(null as text) as name,
    cast(null as date) as birthday
where false
