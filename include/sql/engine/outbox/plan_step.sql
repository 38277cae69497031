-- Plans one message per person of a step's audience: queued, or skipped with the first rule that forbids it.
-- Identity is journey / step / customer / anchor, so planning again adds nothing (architecture §5). Transactional
-- messages ask for an address that is not blocked; consent, sunset, holdout, one message per address, arbitration and
-- cap are rules of marketing (H-08): who orders twice is told twice.
-- Set-wise: each rule is one join with the whole audience, never a look-up per person. `:few_people` names the people
-- of a small audience, so that no table is read for anybody else; when it is null, tables are read whole. It is a value
-- and no subquery: Postgres knows how many they are, and reads a table of the company that has no index once.
with due as materialized (

    select
        lifecycle.message_id(:journey, :step, audiences.customer_id, audiences.anchor) as message_id,
        audiences.customer_id,
        audiences.anchor,
        audiences.variables - 'skip_reason' as variables,
        -- The segment's own word for why this person gets nothing.
        audiences.variables ->> 'skip_reason' as skip_reason,
        runs.as_of,
        runs.run_day,
        reachable.address is not null as has_address,
        lifecycle.address_hash(reachable.address) as address_hash,
        case :channel
            when 'email' then customers.email_opt_in_at else customers.sms_opt_in_at
        end as opted_in_at,
        coalesce(enrollments.entered_at > runs.as_of, true) as is_past_entry,
        case
            when enrollments.exited_at <= :known_at and enrollments.exit_reason = 'superseded' then 'superseded'
            when enrollments.exited_at <= :known_at then 'converted'
            when audiences.customer_id = any(cast(:converted_ids as text[])) then 'converted'
        end as exit_reason
    from lifecycle.audiences as audiences
    inner join lifecycle.runs as runs on audiences.run_id = runs.run_id
    left join lifecycle.enrollments as enrollments
        on
            enrollments.journey = :journey
            and audiences.customer_id = enrollments.customer_id
            and audiences.anchor = enrollments.anchor
            and (cast(:few_people as text[]) is null or enrollments.customer_id = any(cast(:few_people as text[])))
    left join shop.customers as customers
        on
            audiences.customer_id = customers.customer_id
            and (cast(:few_people as text[]) is null or customers.customer_id = any(cast(:few_people as text[])))
    cross join
        lateral (
            select
                nullif(
                    btrim(case :channel when 'email' then customers.email else customers.phone end), ''
                ) as address
        ) as reachable
    where
        audiences.run_id = :run_id
        and audiences.step = :step
        -- Whoever is planned already is left out here at little cost; the primary key remains the guard.
        and not exists (
            select 1
            from lifecycle.messages as planned
            where
                planned.message_id
                = lifecycle.message_id(:journey, :step, audiences.customer_id, audiences.anchor)
                and (cast(:few_people as text[]) is null or planned.customer_id = any(cast(:few_people as text[])))
        )

),

-- The runs that this one makes way for, as a list: so Postgres finds the audiences of few people by their index.
newer_runs as (

    select runs.run_id
    from lifecycle.runs as own
    inner join lifecycle.runs as runs
        on
            own.journey = runs.journey
            and runs.run_day between own.run_day and :today
    where own.run_id = :run_id

),

-- What else the journey has for these people on this day or, in a late run, on a day since: one step per person and
-- run, the newest. What is late itself makes way for nothing.
later as (

    select
        audiences.customer_id,
        audiences.step,
        audiences.anchor,
        audiences.variables ->> 'skip_reason' is null as is_to_be_sent
    from lifecycle.runs as own
    inner join lifecycle.runs as others
        on
            own.journey = others.journey
            and others.run_day between own.run_day and :today
    inner join
        unnest(cast(:steps as text[]), cast(:steps_late_days as integer[]))
        with ordinality as steps (step, late_days, place)
        on others.run_day + coalesce(steps.late_days, 100000) >= :today
    inner join lifecycle.audiences as audiences
        on
            others.run_id = audiences.run_id
            and steps.step = audiences.step
    where
        own.run_id = :run_id
        and (others.run_day > own.run_day or steps.place > array_position(cast(:steps as text[]), :step))
        and audiences.customer_id in (select due.customer_id from due)
        and (
            cast(:few_people as text[]) is null
            or (
                audiences.run_id = any(array(select newer_runs.run_id from newer_runs))
                and audiences.step = any(cast(:steps as text[]))
                and audiences.customer_id = any(cast(:few_people as text[]))
            )
        )

),

-- The same fact, due again on a later day: that day decides about it.
due_again as (

    select distinct
        later.customer_id,
        later.anchor
    from later
    where later.step = :step

),

succeeded as (

    select distinct later.customer_id
    from later
    where
        :kind = 'marketing'
        and later.is_to_be_sent

),

-- The latest consent of each person, as in the view `contacts`.
consented as (

    select distinct on (consents.customer_id)
        consents.customer_id,
        consents.is_granted,
        consents.occurred_at
    from lifecycle.consents as consents
    where
        :kind = 'marketing'
        and consents.channel = :channel
        and consents.customer_id in (select due.customer_id from due)
        and (cast(:few_people as text[]) is null or consents.customer_id = any(cast(:few_people as text[])))
    order by consents.customer_id asc, consents.occurred_at desc, consents.consent_id desc

),

refused as (

    select
        suppressions.address_hash,
        bool_or(suppressions.reason in ('stop', 'bounced', 'complained', 'invalid_address')) as is_blocked
    from lifecycle.suppressions as suppressions
    where
        suppressions.channel = :channel
        and suppressions.lifted_at is null
        and suppressions.address_hash in (select due.address_hash from due)
        and (
            cast(:few_people as text[]) is null
            or suppressions.address_hash = any(array(select due.address_hash from due))
        )
    group by suppressions.address_hash

),

-- Who already has, or waits for, as many marketing messages of the channel as the cap allows (M-06).
capped as (

    select messages.customer_id
    from lifecycle.messages as messages
    where
        :kind = 'marketing'
        and messages.planned_on > cast(:today as date) - :cap_days
        and messages.planned_on <= :today
        and messages.channel = :channel
        and messages.kind = 'marketing'
        and messages.send_state in ('planned', 'queued', 'sending', 'accepted', 'uncertain', 'unconfirmed')
        and messages.customer_id in (select due.customer_id from due)
        and (cast(:few_people as text[]) is null or messages.customer_id = any(cast(:few_people as text[])))
    group by messages.customer_id
    having count(*) >= :cap_messages

),

-- Whose day another journey has taken: one marketing message per person and day.
taken as (

    select distinct on (winners.customer_id)
        winners.customer_id,
        winners.journey
    from lifecycle.runs as others
    inner join lifecycle.messages as winners on others.run_id = winners.run_id
    where
        :kind = 'marketing'
        and others.journey <> :journey
        and others.run_day <= :today
        and others.run_day + others.late_days >= :today
        and winners.planned_on = :today
        and winners.kind = 'marketing'
        and winners.send_state not in ('skipped', 'cancelled', 'rejected')
        and (winners.send_state <> 'queued' or winners.priority >= :priority)
        and (cast(:few_people as text[]) is null or winners.customer_id = any(cast(:few_people as text[])))
    order by winners.customer_id asc, winners.priority desc, winners.journey asc

),

judged as materialized (

    select
        due.message_id,
        due.customer_id,
        due.anchor,
        due.variables,
        due.as_of,
        due.run_day,
        due.address_hash,
        case
            when due.is_past_entry then 'past_entry'
            when :late_days > cast(:step_late_days as integer) then 'stale'
            when succeeded.customer_id is not null then 'superseded'
            when due.exit_reason is not null then due.exit_reason
            when due.skip_reason is not null then due.skip_reason
            when
                :kind = 'marketing' and (
                    (:holdout_percent > 0 and lifecycle.is_held_out(:journey, due.customer_id, :holdout_percent))
                    or (
                        :global_holdout_percent > 0
                        and lifecycle.is_held_out('every journey', due.customer_id, :global_holdout_percent)
                    )
                )
                then 'holdout'
            when not due.has_address then 'invalid_address'
            when
                :kind = 'marketing'
                and not case
                    when consented.occurred_at >= coalesce(due.opted_in_at, '-infinity') then consented.is_granted
                    else due.opted_in_at is not null
                end
                then 'no_consent'
            when refused.is_blocked or (:kind = 'marketing' and refused.address_hash is not null) then 'suppressed'
        end as reason
    from due
    left join succeeded on due.customer_id = succeeded.customer_id
    left join consented on due.customer_id = consented.customer_id
    left join refused on due.address_hash = refused.address_hash
    where
        not exists (
            select 1
            from due_again
            where
                due_again.customer_id = due.customer_id
                and due_again.anchor = due.anchor
        )

),

-- Of people who share an address one is written to: whoever the run has planned already, else the first.
shared as (

    select judged.address_hash
    from judged
    where
        :kind = 'marketing'
        and judged.reason is null
    group by judged.address_hash
    having count(*) > 1

),

first_of_shared as (

    select distinct on (judged.address_hash) judged.message_id
    from judged
    inner join shared on judged.address_hash = shared.address_hash
    where judged.reason is null
    order by judged.address_hash asc, judged.customer_id asc, judged.anchor asc

),

planned_before as (

    select distinct messages.address_hash
    from lifecycle.messages as messages
    where
        :kind = 'marketing'
        and messages.run_id = :run_id
        and messages.channel = :channel
        and messages.send_state <> 'skipped'

),

decided as (

    select
        judged.*,
        case
            when judged.reason is not null then judged.reason
            when
                planned_before.address_hash is not null
                or (shared.address_hash is not null and first_of_shared.message_id is null)
                then 'duplicate_address'
            when taken.journey is not null then 'lost_to(' || taken.journey || ')'
            when :kind = 'marketing' and (:cap_messages = 0 or capped.customer_id is not null) then 'frequency_cap'
        end as final_reason
    from judged
    left join planned_before on judged.address_hash = planned_before.address_hash
    left join shared on judged.address_hash = shared.address_hash
    left join first_of_shared on judged.message_id = first_of_shared.message_id
    left join taken on judged.customer_id = taken.customer_id
    left join capped on judged.customer_id = capped.customer_id

)

insert into lifecycle.messages (
    run_id, journey, step, customer_id, anchor, as_of, run_day, planned_on, kind, priority,
    channel, template, template_sha, address_hash, variables, send_before, send_state, reason
)
select
    :run_id as run_id,
    :journey as journey,
    :step as step,
    planned.customer_id,
    planned.anchor,
    planned.as_of,
    planned.run_day,
    :today as planned_on,
    :kind as kind,
    :priority as priority,
    :channel as channel,
    :template as template,
    :template_sha as template_sha,
    planned.address_hash,
    planned.variables,
    -- The end of the last local day on which the message is still right.
    date_trunc('day', now()) + make_interval(
        days => 1 + :max_late_days - case when cast(:step_late_days as integer) is null then 0 else :late_days end
    ) as send_before,
    case when planned.final_reason is null then 'queued' else 'skipped' end as send_state,
    planned.final_reason as reason
from decided as planned
-- In the order of the primary key, which is the order in which claims read them.
order by planned.message_id
