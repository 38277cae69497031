-- Northwind has no web shop, so no carts: none.
create or replace view source.carts as
select
    cast(null as text) as cart_id,
    cast(null as text) as customer_id,
    cast(null as timestamptz) as updated_at,
    cast(null as jsonb) as items,
    cast(null as timestamptz) as checked_out_at
where false
