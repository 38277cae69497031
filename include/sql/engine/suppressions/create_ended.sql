-- Holds whose journey ended without a reaction; gone with the transaction.
create temporary table ended_enrollments (
    customer_id text not null,
    anchor text not null
) on commit drop
