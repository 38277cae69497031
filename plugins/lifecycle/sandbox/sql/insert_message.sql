-- Keeps one person's message of a request.
insert into messages (
    request_id, position, channel, provider, provider_id, message_id, to_address, sender, subject, text, sms_parts, encoding,
    state, send_at, batch_id, accepted_at, sent_at
) values (
    :request_id, :position, :channel, :provider, :provider_id, :message_id, :to_address, :sender, :subject, :text,
    :sms_parts, :encoding, :state, :send_at, :batch_id, :now, case when :state = 'sent' then :now end
)
