-- Customers due for the survey on 31 March 2026, and a few on each of the days after.
insert into imported.customers (customer_id, signed_up_at, phone, first_name, sms_opt_in_at)
select
    'c' || number,
    '2025-01-01',
    '+3363' || lpad(number::text, 7, '0'),
    'Customer ' || number,
    '2025-01-01'
from generate_series(1, {messages} + {days} * {a_day}) as number;

insert into imported.orders (order_id, customer_id, ordered_at, total_cents, currency)
select
    'o' || number,
    'c' || number,
    timestamptz '2026-03-01 12:00+00'
    + make_interval(days => greatest(0, (number - {messages} + {a_day} - 1) / {a_day})),
    1000,
    'GBP'
from generate_series(1, {messages} + {days} * {a_day}) as number;

analyze imported.customers;
analyze imported.orders;
