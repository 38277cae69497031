-- Records what became of a chunk of attempts. Only the holder of an attempt may: a message that does not come back was
-- decided by somebody else meanwhile. People who shared a request share an answer, so answers come apart from messages;
-- lists of ids come as one text each, which is read ten times as fast as an array.
with answers as (

    select
        messages.message_id,
        messages.attempt_id,
        answers.*
    from
        unnest(
            cast(string_to_array(:message_ids, ',') as uuid[]),
            cast(string_to_array(:attempt_ids, ',') as uuid[]),
            cast(string_to_array(:answer_numbers, ',') as integer[])
        ) as messages (message_id, attempt_id, number)
    inner join unnest(
        cast(:numbers as integer[]),
        cast(:send_states as text[]),
        cast(:reasons as text[]),
        cast(:outcomes as text[]),
        cast(:http_statuses as integer[]),
        cast(:provider_codes as text[]),
        cast(:provider_ids as text[]),
        cast(:details as text[]),
        cast(:retry_after_seconds as double precision[])
    ) as answers (
        number, send_state, reason, outcome,
        http_status, provider_code, provider_id, detail, retry_after_seconds
    ) on messages.number = answers.number

),

settled as (

    update lifecycle.messages as messages
    set
        send_state = answers.send_state,
        reason = answers.reason,
        retry_after = now() + make_interval(secs => answers.retry_after_seconds),
        provider = :provider,
        provider_id = nullif(answers.provider_id, ''),
        lease_until = null,
        settled_at = case when answers.send_state = 'queued' then null else now() end
    from answers
    where
        messages.message_id = any(cast(string_to_array(:message_ids, ',') as uuid[]))
        and messages.message_id = answers.message_id
        and messages.attempt_id = answers.attempt_id
        -- Written so that Postgres looks the rows up by their key, however few it believes to be in flight.
        and messages.send_state is not distinct from 'sending'
    returning
        messages.message_id,
        messages.channel,
        messages.address_hash,
        answers.attempt_id,
        answers.outcome,
        answers.http_status,
        answers.provider_code,
        answers.provider_id,
        answers.detail

),

-- What Twilio refuses for good says something about the number: 21610 opted out there, 21211 and 21614 takes no SMS.
refused_for_good as (

    insert into lifecycle.suppressions (channel, address_hash, reason, source)
    select distinct
        settled.channel,
        settled.address_hash,
        case when settled.provider_code = '21610' then 'stop' else 'invalid_address' end as reason,
        :provider as source
    from settled
    where
        settled.outcome = 'rejected'
        and settled.provider_code in ('21610', '21211', '21614')
        and settled.address_hash is not null
    on conflict (channel, address_hash, reason, source) do update
        set lifted_at = null, suppressed_at = now()

),

recorded as (

    insert into lifecycle.attempts (
        attempt_id, message_id, started_at, outcome, http_status, provider_code, provider_id, detail
    )
    select
        settled.attempt_id,
        settled.message_id,
        :started_at as started_at,
        settled.outcome,
        settled.http_status,
        settled.provider_code,
        settled.provider_id,
        settled.detail
    from settled

)

select string_agg(cast(settled.message_id as text), ',') as message_ids from settled
