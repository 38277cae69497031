-- Shopify itself keeps no reviews: none, with the columns of the contract. An app that does has a table to map here.
create or replace view source.reviews as
select
    cast(null as text) as review_id,
    cast(null as text) as customer_id,
    cast(null as text) as order_id,
    cast(null as integer) as rating,
    cast(null as timestamptz) as reviewed_at,
    cast(null as text) as title,
    cast(null as text) as body
where false
