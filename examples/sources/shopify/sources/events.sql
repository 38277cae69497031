-- No other facts are mapped: none.
create or replace view source.events as
select
    cast(null as text) as event_id,
    cast(null as text) as customer_id,
    cast(null as text) as name,
    cast(null as timestamptz) as occurred_at,
    cast(null as jsonb) as properties
where false
