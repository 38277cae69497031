-- Shopify hands out no page views: none. Visits then end no silence; orders and clicks do.
create or replace view source.page_views as
select
    cast(null as timestamptz) as viewed_at,
    cast(null as text) as url,
    cast(null as text) as customer_id,
    cast(null as text) as visitor_id,
    cast(null as text) as product_id,
    cast(null as text) as utm_source,
    cast(null as text) as utm_medium,
    cast(null as text) as utm_campaign,
    cast(null as text) as utm_term
where false
