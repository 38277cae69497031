-- What a recommendation file reads as `audience`: those it looks for; gone with the transaction.
create temporary table audience (
    customer_id text not null,
    anchor text not null
) on commit drop
