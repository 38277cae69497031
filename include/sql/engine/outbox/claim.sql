-- Claims queued messages of a step for one sender, and asks every rule again in the same statement: kill switch,
-- conversion, consent, suppression, cap and quiet hours. Whoever sleeps stays queued until their morning. Committed
-- before any byte leaves (architecture §6, 2).
with candidates as (

    select
        messages.message_id,
        messages.customer_id,
        messages.anchor,
        messages.kind,
        messages.planned_on,
        -- What was put back after an attempt waits as well, and not for anybody's morning.
        messages.send_after is not null and messages.attempt_id is null as has_slept,
        messages.send_before
    from lifecycle.messages as messages
    where
        -- Compared as one, so that Postgres walks the queue, whatever it believes about it, and no longer index.
        (messages.journey, messages.step, messages.message_id) >= (:journey, :step, cast(:first_id as uuid))
        and (messages.journey, messages.step, messages.message_id) <= (:journey, :step, cast(:last_id as uuid))
        and messages.send_state = 'queued'
        and (messages.retry_after is null or messages.retry_after <= now())
        and (messages.send_after is null or messages.send_after <= now())
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
            when enrollments.exited_at <= coalesce(cast(:played_at as timestamptz), now())
                then case enrollments.exit_reason when 'superseded' then 'superseded' else 'converted' end
            when contacts.address is null then 'invalid_address'
            when candidates.kind = 'marketing' and not contacts.has_consent then 'no_consent'
            when contacts.is_blocked or (candidates.kind = 'marketing' and contacts.is_suppressed) then 'suppressed'
            when candidates.kind = 'marketing' and recent.messages >= :cap_messages then 'frequency_cap'
            when candidates.send_before <= greatest(now(), awake.allowed_at)
                then case
                    when candidates.has_slept or awake.allowed_at > now() then 'quiet_hours_expired'
                    else 'stale'
                end
        end as reason,
        case when awake.allowed_at > now() then awake.allowed_at end as send_after
    from candidates
    left join lifecycle.contacts as contacts
        on
            candidates.customer_id = contacts.customer_id
            and contacts.channel = :channel
    left join lateral (
        -- Looked up by the key, one by one: `limit` keeps Postgres from reading them all.
        select
            enrollments.exited_at,
            enrollments.exit_reason
        from lifecycle.enrollments as enrollments
        where
            enrollments.journey = :journey
            and enrollments.customer_id = candidates.customer_id
            and enrollments.anchor = candidates.anchor
        order by enrollments.enrollment_id
        limit 1
    ) as enrollments on true
    cross join
        lateral (
            -- The marketing messages the person got, or may be getting right now, in the days of the cap (M-06).
            select count(*) as messages
            from lifecycle.messages as earlier
            where
                earlier.customer_id = candidates.customer_id
                and earlier.planned_on > candidates.planned_on - :cap_days
                and earlier.planned_on <= candidates.planned_on
                and earlier.channel = :channel
                and earlier.kind = 'marketing'
                -- Named by what it is not, so that Postgres looks people up and does not read all that was sent.
                and earlier.send_state not in ('planned', 'queued', 'skipped', 'rejected', 'cancelled')
        ) as recent
    left join lateral (
        -- The person's clock is looked up only where there are quiet hours; what is held arrives so much later.
        select
            lifecycle.next_allowed(
                now() + make_interval(mins => :hold_minutes),
                lifecycle.zone_of(customers.timezone, customers.phone, current_setting('timezone')),
                cast(:quiet_from as time),
                cast(:quiet_until as time)
            ) - make_interval(mins => :hold_minutes) as allowed_at
        from shop.customers as customers
        where
            cast(:quiet_from as time) is not null
            and candidates.kind = 'marketing'
            and customers.customer_id = candidates.customer_id
        order by customers.customer_id
        limit 1
    ) as awake on true

),

verdicts as (

    select
        judged.*,
        case
            when judged.reason is not null then 'skipped'
            when judged.send_after is not null then 'queued'
            else 'sending'
        end as send_state
    from judged

)

update lifecycle.messages as messages
set
    send_state = verdicts.send_state,
    reason = verdicts.reason,
    -- The address may have changed since the plan; a refusal has to find the one the message went to.
    address_hash = coalesce(verdicts.address_hash, messages.address_hash),
    -- The words may have changed too: what is kept is the version that is sent.
    template_sha = case when verdicts.send_state = 'sending' then :template_sha else messages.template_sha end,
    send_after = coalesce(verdicts.send_after, messages.send_after),
    attempt_id = case when verdicts.send_state = 'queued' then messages.attempt_id else gen_random_uuid() end,
    attempt_count = messages.attempt_count + case when verdicts.send_state = 'queued' then 0 else 1 end,
    lease_until = case when verdicts.send_state = 'sending' then now() + make_interval(secs => :lease_seconds) end,
    settled_at = case when verdicts.send_state = 'skipped' then now() end
from verdicts
where
    messages.message_id = verdicts.message_id
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
    verdicts.address,
    now() as claimed_at
