-- A shop of {people} customers with five orders each: three in a thousand fall silent on each day of the last year.
insert into imported.customers (customer_id, signed_up_at, email, phone, first_name, email_opt_in_at, sms_opt_in_at)
select
    'c' || lpad(number::text, 7, '0'),
    '2024-01-01',
    'person' || number || '@example.com',
    '+336' || lpad(number::text, 8, '0'),
    'Name ' || number % 997,
    '2024-01-01',
    case when number % 5 < 2 then timestamptz '2024-01-01' end
from generate_series(1, {people}) as number;

-- The last order lies up to a year back, the others each about six weeks before.
insert into imported.orders (order_id, customer_id, ordered_at, total_cents, currency)
select
    'o' || lpad(((number - 1) * 5 + turn)::text, 8, '0'),
    'c' || lpad(number::text, 7, '0'),
    timestamptz '2026-04-02 20:00 Europe/London'
    - make_interval(days => number % 365 * 7919 % 365 + (5 - turn) * (30 + number % 30), mins => number % 1200),
    1000 + number % 5000,
    'GBP'
from generate_series(1, {people}) as number
cross join generate_series(1, 5) as turn;
