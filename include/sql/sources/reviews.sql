-- What customers said about an order, as `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.reviews as
select
    reviews.review_id,
    reviews.customer_id,
    reviews.order_id,
    reviews.rating,
    reviews.reviewed_at,
    reviews.title,
    reviews.body
from imported.reviews as reviews
