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
        -- Compared as one, so that Postgres walks the queue, whatever it believes about it, and no longer index.
        (messages.journey, messages.step, messages.message_id) >= (:journey, :step, cast(:first_id as uuid))
        and (messages.journey, messages.step, messages.message_id) <= (:journey, :step, cast(:last_id as uuid))
        and messages.send_state = 'queued'
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
            when candidates.kind = 'marketing' and recent.messages >= :cap_messages then 'frequency_cap'
        end as reason
    from candidates
    left join lifecycle.contacts as contacts
        on
            candidates.customer_id = contacts.customer_id
            and contacts.channel = :channel
    left join lateral (
        -- Looked up by the key, one by one: `limit` keeps Postgres from reading them all.
        select enrollments.exited_at
        from lifecycle.enrollments as enrollments
        where
            enrollments.journey = :journey
            and enrollments.customer_id = candidates.customer_id
            and enrollments.anchor = candidates.anchor
        order by enrollments.enrollment_id
        limit 1
    ) as enrollments on true
    cross join lateral (
        -- The marketing messages the person got, or may be getting right now, in the days of the cap (M-06).
        select count(*) as messages
        from lifecycle.messages as earlier
        where
            earlier.customer_id = candidates.customer_id
            and earlier.run_day > candidates.run_day - :cap_days
            and earlier.run_day <= candidates.run_day
            and earlier.channel = :channel
            and earlier.kind = 'marketing'
            and earlier.send_state in ('sending', 'accepted', 'uncertain', 'unconfirmed')
    ) as recent

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
    -- Written so that Postgres looks the row up by its key, however few it believes to be queued.
    and messages.send_state is not distinct from 'queued'
returning
    -- As texts, which is how they are used, thousands at a time.
    cast(messages.message_id as text) as message_id,
    cast(messages.attempt_id as text) as attempt_id,
    messages.customer_id,
    messages.anchor,
    messages.as_of,
    cast(messages.variables as text) as variables,
    messages.send_state,
    messages.reason,
    judged.address,
    now() as claimed_at
