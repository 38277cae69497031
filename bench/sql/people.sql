-- People who agreed to email and SMS; where {history} is 1 with two emails behind them in the last month. Where {refusals} is 1, one in
-- twenty has taken the consent back, one in fifty is suppressed, one in a hundred has had all the emails the cap allows,
-- one in a thousand shares an address, and another journey wants one in ten for the same day.
insert into imported.customers (
    customer_id, signed_up_at, email, phone, first_name, city, email_opt_in_at, sms_opt_in_at
)
select
    'c' || lpad(number::text, 7, '0'),
    '2025-01-01',
    'person' || case when {refusals} = 1 and number % 1000 = 3 then number - 1 else number end || '@example.com',
    '+336' || lpad(number::text, 8, '0'),
    case when number % 10 > 0 then 'Name ' || number % 997 end,
    (array ['London', 'Leeds', 'Bath', 'York', null])[1 + number % 5],
    '2025-01-01',
    '2025-01-01'
from generate_series(1, {people}) as number;

insert into lifecycle.consents (customer_id, channel, is_granted, source, occurred_at)
select
    'c' || lpad(number::text, 7, '0'),
    'email',
    number % 20 = 1,
    'preferences',
    '2025-06-01'
from generate_series(1, {people} * {refusals}) as number
where number % 20 in (0, 1);

insert into lifecycle.suppressions (channel, address_hash, reason, source)
select
    'email',
    lifecycle.address_hash('person' || number || '@example.com'),
    'unsubscribed',
    'newsletter'
from generate_series(1, {people} * {refusals}) as number
where number % 50 = 7;

insert into lifecycle.runs (journey, as_of, run_day, run_type, zone)
select
    'welcome',
    day,
    day::date,
    'manual',
    'UTC'
from generate_series(timestamptz '2026-03-15', '2026-03-28', '1 day') as day;

insert into lifecycle.messages (
    run_id, journey, step, customer_id, anchor, as_of, run_day, planned_on, channel, template, template_sha, address_hash,
    send_state, settled_at
)
select
    runs.run_id,
    'welcome',
    'hello',
    customers.customer_id,
    runs.run_day::text,
    runs.as_of,
    runs.run_day,
    runs.run_day,
    'email',
    'hello',
    '0123456789abcdef',
    lifecycle.address_hash(customers.email),
    'accepted',
    runs.as_of
from imported.customers as customers
inner join lifecycle.runs as runs
    on
        ({history} = 1 and runs.run_day in ('2026-03-15', '2026-03-26'))
        or ({refusals} = 1 and customers.customer_id like '%55' and runs.run_day <= '2026-03-26');

insert into lifecycle.runs (journey, as_of, run_day, run_type, zone)
values ('newsletter', '2026-03-31 00:00 Europe/London', '2026-03-31', 'manual', 'Europe/London');

insert into lifecycle.messages (
    run_id, journey, step, customer_id, anchor, as_of, run_day, planned_on, channel, template, template_sha, address_hash,
    priority, send_state
)
select
    runs.run_id,
    'newsletter',
    'april',
    'c' || lpad(number::text, 7, '0'),
    'april',
    runs.as_of,
    runs.run_day,
    runs.run_day,
    'email',
    'april',
    '0123456789abcdef',
    lifecycle.address_hash('person' || number || '@example.com'),
    case when number % 20 = 5 then 90 else 10 end,
    'queued'
from generate_series(1, {people} * {refusals}) as number
cross join lifecycle.runs as runs
where
    runs.journey = 'newsletter'
    and number % 20 in (5, 6);
