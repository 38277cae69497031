-- Pages seen before as_of().
create or replace view shop.page_views as
select
    page_views.viewed_at,
    page_views.url,
    page_views.customer_id,
    page_views.visitor_id,
    page_views.product_id,
    page_views.utm_source,
    page_views.utm_medium,
    page_views.utm_campaign,
    page_views.utm_term
from source.page_views as page_views
where page_views.viewed_at < lifecycle.as_of()
