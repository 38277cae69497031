-- Keeps one person's message of a request.
insert into messages (
    request_id, position, channel, provider, provider_id, message_id, to_address, sender, subject, text, sms_parts, encoding
) values (
    :request_id, :position, :channel, :provider, :provider_id, :message_id, :to_address, :sender, :subject, :text,
    :sms_parts, :encoding
)
