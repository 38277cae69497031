-- Customers who have not ordered again within three days of the thanks (J-04): the second and last mail of the funnel.
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
        select greatest(orders.delivered_at, orders.ordered_at + interval '7 days') + interval '3 days' as due_at
    ) as second_mail
where
    orders.ordered_at >= as_of() - interval '90 days'
    and orders.delivered_at is not null
    and second_mail.due_at >= as_of() - interval '1 day'
    and second_mail.due_at < as_of()
    and orders.cancelled_at is null
    and orders.returned_at is null
    and orders.next_ordered_at is null
order by orders.customer_id
