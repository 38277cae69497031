-- Acts on an SMS from a person; says what it was taken as, null for one that came before.
select lifecycle.receive_sms(:event_id, :sender, :meaning, :text, cast(:raw_sha256 as bytea)) as taken_as
