-- Customers whose 3rd, 5th or 10th purchase was made on the day before the run day (J-18).
-- To reward others, edit the list. An order that was cancelled or given back in full is no purchase.
-- Anchor: the order that was the N-th. Reads: shop.orders, shop.refunds.
with rewarded as (

    select unnest(array[3, 5, 10]) as purchases

),

-- Looked up for the customers of one day only, so that it costs what the day costs.
kept as not materialized (

    select
        orders.customer_id,
        orders.order_id,
        orders.ordered_at
    from shop.orders as orders
    where
        orders.cancelled_at is null
        and not exists (
            select 1
            from shop.refunds as refunds
            where refunds.order_id = orders.order_id
            having sum(refunds.amount_cents) >= orders.total_cents
        )

)

select
    newest.customer_id,
    newest.order_id as anchor,
    so_far.purchases
from kept as newest
cross join
    lateral (
        select count(*) as purchases
        from kept as others
        where
            others.customer_id = newest.customer_id
            and (others.ordered_at, others.order_id) <= (newest.ordered_at, newest.order_id)
    ) as so_far
inner join rewarded on so_far.purchases = rewarded.purchases
where newest.ordered_at >= as_of() - interval '1 day'
order by newest.customer_id, newest.order_id
