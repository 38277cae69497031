-- What each rule of the policy reads about one person and step (outbox/plan_step.sql states the rules set-wise), as of
-- the moment it was decided, or of now. `:anchor` is null for somebody who was not due; then their newest entry counts.
with decision as (

    select
        coalesce(cast(:decided_at as timestamptz), now()) as decided_at,
        lifecycle.message_id(:journey, :step, :customer_id, coalesce(:anchor, '')) as message_id

),

person as (

    select
        customers.customer_id,
        lifecycle.address_hash(
            nullif(btrim(case :channel when 'email' then customers.email else customers.phone end), '')
        ) as address_hash,
        case :channel
            when 'email' then customers.email_opt_in_at else customers.sms_opt_in_at
        end as opted_in_at
    from shop.customers as customers
    where customers.customer_id = :customer_id

),

entered as (

    select
        enrollments.entered_at,
        enrollments.exited_at,
        enrollments.exit_reason
    from lifecycle.enrollments as enrollments
    where
        enrollments.journey = :journey
        and enrollments.customer_id = :customer_id
        and (cast(:anchor as text) is null or enrollments.anchor = :anchor)
    order by enrollments.entered_at desc
    limit 1

),

consented as (

    select
        consents.is_granted,
        consents.source,
        consents.occurred_at
    from lifecycle.consents as consents
    cross join decision
    where
        consents.customer_id = :customer_id
        and consents.channel = :channel
        and consents.occurred_at <= decision.decided_at
    order by consents.occurred_at desc, consents.consent_id desc
    limit 1

),

refused as (

    select
        count(*) > 0 as is_suppressed,
        coalesce(
            bool_or(suppressions.reason in ('stop', 'bounced', 'complained', 'invalid_address')), false
        ) as is_blocked,
        string_agg(
            suppressions.reason || ' by ' || suppressions.source || ' on ' || cast(suppressions.suppressed_at as date),
            ', ' order by suppressions.suppressed_at, suppressions.reason
        ) as reasons
    from lifecycle.suppressions as suppressions
    inner join person on suppressions.address_hash = person.address_hash
    cross join decision
    where
        suppressions.channel = :channel
        and suppressions.suppressed_at <= decision.decided_at
        and coalesce(suppressions.lifted_at > decision.decided_at, true)

),

-- Other steps that are due for the person in the same run, or in a later one that was known by then.
later as (

    select string_agg(distinct steps.step || ' of ' || others.run_day, ', ') as steps
    from lifecycle.runs as others
    inner join
        unnest(cast(:steps as text[]), cast(:steps_late_days as integer[]))
        with ordinality as steps (step, late_days, place)
        on others.run_day + coalesce(steps.late_days, 100000) >= :today
    inner join lifecycle.audiences as audiences
        on
            others.run_id = audiences.run_id
            and steps.step = audiences.step
            and audiences.customer_id = :customer_id
            and audiences.variables ->> 'skip_reason' is null
    where
        others.journey = :journey
        and others.run_day between :run_day and :today
        and (others.run_day > :run_day or steps.place > array_position(cast(:steps as text[]), :step))

),

-- Whoever shares the address and is written to in the same run.
sharing as (

    select min(messages.customer_id) as customer_id
    from lifecycle.messages as messages
    inner join person on messages.address_hash = person.address_hash
    where
        messages.run_id = :run_id
        and messages.channel = :channel
        and messages.send_state <> 'skipped'
        and messages.customer_id <> :customer_id

),

-- Every marketing message that counts for the person, but this one.
counted as (

    select
        messages.journey,
        messages.step,
        messages.channel,
        messages.planned_on,
        messages.priority,
        messages.send_state
    from lifecycle.messages as messages
    cross join decision
    where
        messages.customer_id = :customer_id
        and messages.planned_on > cast(:today as date) - greatest(:cap_days, 1)
        and messages.planned_on <= :today
        and messages.kind = 'marketing'
        and messages.send_state in ('planned', 'queued', 'sending', 'accepted', 'uncertain', 'unconfirmed')
        and messages.message_id <> decision.message_id
        and messages.planned_at <= decision.decided_at

),

winner as (

    select
        counted.journey,
        counted.step
    from counted
    where
        counted.journey <> :journey
        and counted.planned_on = :today
        and (counted.send_state <> 'queued' or counted.priority >= :priority)
    order by counted.priority desc, counted.journey asc
    limit 1

)

select
    person.customer_id is not null as is_customer,
    person.address_hash is not null as has_address,
    person.opted_in_at,
    entered.entered_at,
    entered.exited_at,
    entered.exit_reason,
    consented.is_granted,
    consented.source as consent_source,
    consented.occurred_at as consent_at,
    refused.is_suppressed,
    refused.is_blocked,
    refused.reasons as suppressions,
    later.steps as later_steps,
    sharing.customer_id as shared_with,
    winner.journey as lost_to,
    winner.step as lost_to_step,
    (
        select count(*)
        from counted
        where
            counted.channel = :channel
            and counted.planned_on > cast(:today as date) - :cap_days
    ) as capped,
    lifecycle.is_held_out(:journey, :customer_id, :holdout_percent) as is_held_out,
    lifecycle.is_held_out('every journey', :customer_id, :global_holdout_percent) as is_held_out_everywhere
from decision
left join person on true
left join entered on true
left join consented on true
left join refused on true
left join later on true
left join sharing on true
left join winner on true
