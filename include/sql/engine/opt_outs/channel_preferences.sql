-- The channels that the person of a message may switch on and off.
select
    preferences.channel,
    preferences.is_on,
    preferences.is_blocked
from lifecycle.channel_preferences(cast(:message_id as uuid)) as preferences
