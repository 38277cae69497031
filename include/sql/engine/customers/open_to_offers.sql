-- Who of these customers wants marketing on a channel now: the rules of a marketing message, asked for an offer in one
-- about an order (A-12).
select contacts.customer_id
from lifecycle.contacts as contacts
where
    contacts.customer_id = any(cast(:customer_ids as text[]))
    and contacts.channel = :channel
    and contacts.has_consent
    and not contacts.is_suppressed
    and not (
        :holdout_percent > 0
        and lifecycle.is_held_out('every journey', contacts.customer_id, :holdout_percent)
    )
