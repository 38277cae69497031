-- A shop of {people} customers with ten orders of three lines each over two years, all of whom are due for the second mail
-- after their last purchase. 5,000 products in 500 lines and 50 categories; few of them are most of what is bought.
insert into imported.customers (customer_id, signed_up_at, email, email_opt_in_at)
select
    'c' || lpad(number::text, 7, '0'),
    '2024-01-01',
    'person' || number || '@example.com',
    '2024-01-01'
from generate_series(1, {people}) as number;

insert into imported.products (product_id, name, category, line, url, in_stock)
select
    'p' || lpad(number::text, 5, '0'),
    'Product ' || number,
    'category ' || number / 100,
    'line ' || number / 10,
    'https://shop.example/p/' || number,
    number % 17 > 0
from generate_series(0, 4999) as number;

-- The last order is the one they are due for: 10.5 days ago, delivered after five. The others reach back two years.
insert into imported.orders (order_id, customer_id, ordered_at, total_cents, currency, delivered_at)
select
    'o' || lpad(((number - 1) * 10 + turn)::text, 8, '0'),
    'c' || lpad(number::text, 7, '0'),
    made.ordered_at,
    1000 + number % 5000,
    'GBP',
    made.ordered_at + interval '5 days'
from generate_series(1, {people}) as number
cross join generate_series(1, 10) as turn
cross join
    lateral (
        select
            timestamptz '2026-03-20 12:00 Europe/London'
            - case when turn = 10 then interval '0' else make_interval(days => (10 - turn) * 70 + number % 60) end
                as ordered_at
    ) as made;

-- One product, another one of its line, and a third from anywhere.
insert into imported.order_items (order_id, line, product_id, quantity, unit_price_cents)
select
    orders.order_id,
    lines.line,
    'p' || lpad(
        case lines.line
            when 1 then chosen.first
            when 2 then chosen.first / 10 * 10 + chosen.other % 10
            else chosen.other
        end::text, 5, '0'
    ),
    1,
    500 + chosen.other
from imported.orders as orders
cross join
    lateral (
        select
            floor(5000 * power((hashtext(orders.order_id) & 65535) / 65536.0, 3))::integer as first,
            (hashtext('other ' || orders.order_id) & 2147483647) % 5000 as other
    ) as chosen
cross join generate_series(1, 3) as lines (line);

insert into imported.reviews (review_id, customer_id, order_id, rating, reviewed_at, title, body)
select
    'r' || orders.order_id,
    orders.customer_id,
    orders.order_id,
    1 + (hashtext('stars ' || orders.order_id) & 65535) % 5,
    orders.delivered_at + interval '6 days',
    'What I think',
    'It is as good as they say, and the parcel came early.'
from imported.orders as orders
where hashtext('review ' || orders.order_id) % 10 = 0;

insert into imported.page_views (viewed_at, url, customer_id, product_id)
select
    timestamptz '2026-03-30 12:00 Europe/London' - make_interval(days => number % 60, mins => view),
    'https://shop.example/p/' || number % 5000,
    'c' || lpad(number::text, 7, '0'),
    'p' || lpad(((number * 31 + view * 977) % 5000)::text, 5, '0')
from generate_series(1, {people}) as number
cross join generate_series(1, 5) as view;
