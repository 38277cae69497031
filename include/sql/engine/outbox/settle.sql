-- Records what became of one attempt. Only the holder of the attempt may: zero rows means somebody else decided.
with settled as (

    update lifecycle.messages as messages
    set
        send_state = :send_state,
        reason = :reason,
        retry_after = now() + make_interval(secs => cast(:retry_after_seconds as double precision)),
        provider = :provider,
        provider_id = nullif(:provider_id, ''),
        lease_until = null,
        settled_at = case when :send_state = 'queued' then null else now() end
    where
        messages.message_id = :message_id
        and messages.attempt_id = :attempt_id
        and messages.send_state = 'sending'
    returning messages.message_id

)

insert into lifecycle.attempts (
    attempt_id, message_id, started_at, outcome, http_status, provider_code, provider_id, detail
)
select
    :attempt_id as attempt_id,
    settled.message_id,
    :started_at as started_at,
    :outcome as outcome,
    :http_status as http_status,
    :provider_code as provider_code,
    :provider_id as provider_id,
    :detail as detail
from settled
