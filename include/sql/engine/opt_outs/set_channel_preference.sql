-- Switches a channel of the person of a message on or off.
select lifecycle.set_channel_preference(cast(:message_id as uuid), :channel, :is_on, :source)
