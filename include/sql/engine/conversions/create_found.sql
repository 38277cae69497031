-- Holds what the goal found until it is matched with enrollments; gone with the transaction.
create temporary table found_conversions (
    customer_id text not null,
    anchor text not null,
    converted_at timestamptz not null
) on commit drop
