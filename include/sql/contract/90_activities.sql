-- Signs of life of a customer known at as_of() (G-16, A-6): what ends silence.
-- This is the one place to switch a kind off: set its word in `counted` to false.
create or replace view shop.activities as
with counted as (

    select
        true as orders,
        true as site_visits,
        true as clicks

)

select
    orders.customer_id,
    orders.ordered_at as occurred_at,
    'order' as kind
from shop.orders as orders
where (select counted.orders from counted)

union all

select
    page_views.customer_id,
    page_views.viewed_at as occurred_at,
    'site_visit' as kind
from shop.page_views as page_views
where
    page_views.customer_id is not null
    and (select counted.site_visits from counted)

union all

select
    engagements.customer_id,
    engagements.occurred_at,
    'click' as kind
from shop.engagements as engagements
where
    engagements.kind = 'click'
    and (select counted.clicks from counted)
