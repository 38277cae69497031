-- 20,000 customers, 200,000 orders and 200,000 page views over the two years before February 2026.
insert into imported.customers (customer_id, signed_up_at)
select
    number::text as customer_id,
    timestamptz '2024-01-01 00:00+00' as signed_up_at
from generate_series(1, 20000) as numbers (number);

insert into imported.orders (order_id, customer_id, ordered_at, total_cents, currency)
select
    'O' || number as order_id,
    (hashint4(number) & 16383)::text as customer_id,
    timestamptz '2024-02-01 00:00+00' + number * interval '316 seconds' as ordered_at,
    1000 as total_cents,
    'GBP' as currency
from generate_series(1, 200000) as numbers (number);

insert into imported.page_views (viewed_at, url, customer_id)
select
    timestamptz '2024-02-01 00:00+00' + number * interval '316 seconds' as viewed_at,
    '/' as url,
    (hashint4(number) & 16383)::text as customer_id
from generate_series(1, 200000) as numbers (number);
