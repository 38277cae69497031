-- Customers due for the survey, and for the letter to everybody, on 31 March 2026, and a few on each of the days after.
insert into imported.customers (
    customer_id, signed_up_at, email, phone, first_name, email_opt_in_at, sms_opt_in_at
)
select
    'c' || number,
    case
        when number <= {messages} then '2025-01-01'
        else timestamptz '2026-03-30 12:00+00' + make_interval(days => (number - {messages} + {a_day} - 1) / {a_day})
    end,
    'c' || number || '@example.com',
    '+3363' || lpad(number::text, 7, '0'),
    'Customer ' || number,
    '2025-01-01',
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
