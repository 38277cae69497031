-- Holds whom a segment picked until it is known what to recommend to them; gone with the transaction.
create temporary table picked_people (
    number bigint primary key,
    customer_id text not null,
    anchor text not null,
    variables jsonb not null
) on commit drop
