-- Abandoned checkouts of people the shop knows. Known from: updated_at, the state they were left in.
create or replace view source.carts as
select
    cast(checkouts.id as text) as cart_id,
    cast(checkouts.customer_id as text) as customer_id,
    checkouts.updated_at,
    checkouts.line_items as items,
    checkouts.completed_at as checked_out_at
from shopify.abandoned_checkouts as checkouts
where checkouts.customer_id is not null
