-- How much of a shop is known at as_of().
select
    (select count(*) from shop.customers) as customers,
    (select count(*) from shop.orders) as orders
