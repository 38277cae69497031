-- What the earning rules found, until the transaction ends.
create temporary table staged_points (
    fact text not null,
    customer_id text not null,
    occurred_at timestamptz not null,
    points bigint not null,
    spend_cents bigint not null,
    counts_from timestamptz
) on commit drop
