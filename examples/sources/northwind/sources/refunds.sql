-- Northwind keeps no refunds: none, with the columns of the contract.
create or replace view source.refunds as
select
    cast(null as text) as refund_id,
    cast(null as text) as customer_id,
    cast(null as timestamptz) as refunded_at,
    cast(null as bigint) as amount_cents,
    cast(null as text) as currency,
    cast(null as text) as order_id
where false
