-- Customers whose order is a week old and delivered since the last run day: the later of the two decides (J-04, A-1).
-- Whoever ordered again is thanked for the newer order alone (A-2); nobody is, for what was cancelled or given back.
-- Anchor: the order. Reads: shop.order_outcomes, shop.order_items, shop.products.
select
    orders.customer_id,
    orders.order_id as anchor,
    (
        select products.name
        from shop.order_items as items
        inner join shop.products as products on items.product_id = products.product_id
        where items.order_id = orders.order_id
        order by items.unit_price_cents desc, items.line asc
        limit 1
    ) as product
from shop.order_outcomes as orders
cross join
    lateral (
        select greatest(orders.delivered_at, orders.ordered_at + interval '7 days') as due_at
    ) as thanks
where
    orders.ordered_at >= as_of() - interval '90 days'
    and orders.delivered_at is not null
    and thanks.due_at >= as_of() - interval '1 day'
    and thanks.due_at < as_of()
    and orders.cancelled_at is null
    and orders.returned_at is null
    and orders.next_ordered_at is null
order by orders.customer_id
