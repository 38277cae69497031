-- Reads a segment as audience.sql does, without whom the step named by set_deciding.sql has decided about already.
-- Looked up by the key, one by one: `max` keeps Postgres from reading all that was ever decided.
select
    segment.customer_id::text as customer_id,
    segment.anchor::text as anchor,
    to_jsonb(segment) - 'customer_id' - 'anchor' as variables
from (
    :analyst_sql
) as segment
where
    (
        select max(1)
        from lifecycle.decided as decided
        where
            decided.message_id = lifecycle.message_id(
                current_setting('lifecycle.deciding_journey'),
                current_setting('lifecycle.deciding_step'),
                segment.customer_id::text,
                segment.anchor::text
            )
    ) is null
