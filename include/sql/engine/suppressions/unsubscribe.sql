-- A person's refusal: suppresses the address of the message at once, and keeps the refusal as consent (H-08).
select lifecycle.unsubscribe(cast(:message_id as uuid), :source)
