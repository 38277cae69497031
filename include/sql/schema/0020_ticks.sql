-- Journeys that look every few minutes.

-- When a journey began to look, and the instant of its newest look: a look that finds nothing new leaves nothing else.
create table lifecycle.ticks (
    journey text primary key,
    switched_on_at timestamptz not null,
    looked_at timestamptz not null
);

-- What happened to orders lately is asked for every few minutes.
create index orders_by_shipping on imported.orders (shipped_at) where shipped_at is not null;
create index orders_by_delivery on imported.orders (delivered_at) where delivered_at is not null;
create index orders_by_cancellation on imported.orders (cancelled_at) where cancelled_at is not null;
