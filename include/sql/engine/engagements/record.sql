-- Records that a person (or a link scanner) reacted to a message; a person's click makes the address active again.
select lifecycle.record_engagement(
    cast(:message_id as uuid), :kind, :is_machine, cast(:properties as jsonb), cast(:network_hash as bytea)
)
