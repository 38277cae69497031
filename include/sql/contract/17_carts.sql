-- Carts last touched before as_of(); a later checkout is not shown yet.
create or replace view shop.carts as
select
    carts.cart_id,
    carts.customer_id,
    carts.updated_at,
    carts.items,
    case
        when carts.checked_out_at < lifecycle.as_of() then carts.checked_out_at
    end as checked_out_at
from source.carts as carts
where carts.updated_at < lifecycle.as_of()
