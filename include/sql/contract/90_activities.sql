-- Signs of life of a customer known at as_of() (G-16, A-6): what ends silence.
-- To stop counting a kind, change its `where true` to `where false`; nothing else needs to change.
create or replace view shop.activities as
select
    orders.customer_id,
    orders.ordered_at as occurred_at,
    'order' as kind
from shop.orders as orders
where true

union all

select
    page_views.customer_id,
    page_views.viewed_at as occurred_at,
    'site_visit' as kind
from shop.page_views as page_views
where true

union all

select
    clicks.customer_id,
    clicks.occurred_at,
    'click' as kind
from shop.clicks as clicks
where true
