-- Claims queued messages of a step for one sender, and asks every rule again in the same statement: kill switch,
-- conversion, consent, suppression and cap. Committed before any byte leaves (architecture §6, 2).
with candidates as (

    select
        messages.message_id,
        messages.customer_id,
        messages.anchor,
        messages.kind,
        messages.run_day
    from lifecycle.messages as messages
    where
        messages.journey = :journey
        and messages.step = :step
        and messages.send_state = 'queued'
        and messages.message_id between cast(:first_id as uuid) and cast(:last_id as uuid)
        and (messages.retry_after is null or messages.retry_after <= now())
        -- A run of an earlier day does not know the customers of later ones.
        and messages.as_of <= lifecycle.as_of()
        and not exists (
            select 1
            from lifecycle.send_controls as controls
            where
                controls.state = 'paused'
                and controls.scope in ('all', :channel, :journey)
        )
    order by messages.journey, messages.step, messages.message_id
    limit :chunk
    for update skip locked

),

judged as (

    select
        candidates.message_id,
        contacts.address,
        contacts.address_hash,
        case
            when enrollments.exited_at is not null then 'converted'
            when contacts.address is null then 'invalid_address'
            when candidates.kind = 'marketing' and not contacts.has_consent then 'no_consent'
            when contacts.is_blocked or (candidates.kind = 'marketing' and contacts.is_suppressed) then 'suppressed'
            when
                candidates.kind = 'marketing'
                and lifecycle.recent_messages(
                    candidates.customer_id, :channel, candidates.run_day, :cap_days, 'sending'
                ) >= :cap_messages
                then 'frequency_cap'
        end as reason
    from candidates
    left join lifecycle.contacts as contacts
        on
            candidates.customer_id = contacts.customer_id
            and contacts.channel = :channel
    left join lifecycle.enrollments as enrollments
        on
            enrollments.journey = :journey
            and candidates.customer_id = enrollments.customer_id
            and candidates.anchor = enrollments.anchor

)

update lifecycle.messages as messages
set
    send_state = case when judged.reason is null then 'sending' else 'skipped' end,
    reason = judged.reason,
    -- The address may have changed since the plan; a refusal has to find the one the message went to.
    address_hash = coalesce(judged.address_hash, messages.address_hash),
    attempt_id = gen_random_uuid(),
    attempt_count = messages.attempt_count + 1,
    lease_until = case when judged.reason is null then now() + make_interval(secs => :lease_seconds) end,
    settled_at = case when judged.reason is not null then now() end
from judged
where
    messages.message_id = judged.message_id
    and messages.send_state = 'queued'
returning
    messages.message_id,
    messages.attempt_id,
    messages.customer_id,
    messages.anchor,
    messages.as_of,
    messages.variables,
    messages.send_state,
    messages.reason,
    judged.address,
    now() as claimed_at
