-- Reviews written before as_of().
create or replace view shop.reviews as
select
    reviews.review_id,
    reviews.customer_id,
    reviews.order_id,
    reviews.rating,
    reviews.reviewed_at,
    reviews.title,
    reviews.body
from source.reviews as reviews
where reviews.reviewed_at < lifecycle.as_of()
