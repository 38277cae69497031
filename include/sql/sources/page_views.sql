-- Pages seen on the site; without customer_id nobody was logged in.
-- As `lifecycle import` loaded them.
-- Edit this to map a table of your own.
create or replace view source.page_views as
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
from imported.page_views as page_views
