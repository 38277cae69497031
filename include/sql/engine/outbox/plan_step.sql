-- Plans one message per person of a step's audience: queued, or skipped with the first rule that forbids it.
-- Identity is journey / step / customer / anchor, so planning again adds nothing (architecture §5). Transactional
-- messages ask for an address that is not blocked; consent, sunset, holdout, arbitration and cap are rules of marketing
-- (H-08).
with due as (

    select
        audiences.customer_id,
        audiences.anchor,
        audiences.variables,
        runs.as_of,
        runs.run_day,
        enrollments.enrollment_id,
        enrollments.exited_at is not null
        or audiences.customer_id = any(cast(:converted_ids as text[])) as has_converted,
        contacts.address,
        contacts.address_hash,
        coalesce(contacts.has_consent, false) as has_consent,
        coalesce(contacts.is_suppressed, false) as is_suppressed,
        coalesce(contacts.is_blocked, false) as is_blocked
    from lifecycle.audiences as audiences
    inner join lifecycle.runs as runs on audiences.run_id = runs.run_id
    left join lifecycle.enrollments as enrollments
        on
            enrollments.journey = :journey
            and audiences.customer_id = enrollments.customer_id
            and audiences.anchor = enrollments.anchor
    left join lifecycle.contacts as contacts
        on
            audiences.customer_id = contacts.customer_id
            and contacts.channel = :channel
    where
        audiences.run_id = :run_id
        and audiences.step = :step

),

judged as (

    select
        due.*,
        case
            when due.enrollment_id is null then 'past_entry'
            when due.has_converted then 'converted'
            when
                :kind = 'marketing' and (
                    lifecycle.is_held_out(:journey, due.customer_id, :holdout_percent)
                    or lifecycle.is_held_out('every journey', due.customer_id, :global_holdout_percent)
                )
                then 'holdout'
            when due.address is null then 'invalid_address'
            when :kind = 'marketing' and not due.has_consent then 'no_consent'
            when due.is_blocked or (:kind = 'marketing' and due.is_suppressed) then 'suppressed'
        end as reason
    from due

),

one_per_address as (

    select
        judged.*,
        row_number() over (
            partition by judged.reason is null, judged.address_hash
            order by judged.customer_id, judged.anchor
        ) > 1
        or exists (
            select 1
            from lifecycle.messages as earlier
            where
                judged.reason is null
                and earlier.run_id = :run_id
                and earlier.channel = :channel
                and earlier.address_hash = judged.address_hash
                and earlier.send_state <> 'skipped'
                and (earlier.step, earlier.customer_id, earlier.anchor)
                is distinct from (:step, judged.customer_id, judged.anchor)
        ) as is_duplicate,
        (
            select winner.journey
            from lifecycle.messages as winner
            where
                judged.reason is null
                and :kind = 'marketing'
                and winner.customer_id = judged.customer_id
                and winner.run_day = judged.run_day
                and winner.journey <> :journey
                and winner.kind = 'marketing'
                and winner.send_state not in ('skipped', 'cancelled', 'rejected')
                and (winner.send_state <> 'queued' or winner.priority >= :priority)
            order by winner.priority desc, winner.journey asc
            limit 1
        ) as lost_to
    from judged

),

decided as (

    select
        judged.*,
        case
            when judged.reason is not null then judged.reason
            when judged.is_duplicate then 'duplicate_address'
            when judged.lost_to is not null then 'lost_to(' || judged.lost_to || ')'
            when
                :kind = 'marketing'
                and lifecycle.recent_messages(
                    judged.customer_id, :channel, judged.run_day, :cap_days, 'queued'
                ) >= :cap_messages
                then 'frequency_cap'
        end as final_reason
    from one_per_address as judged

)

insert into lifecycle.messages (
    run_id, journey, step, customer_id, anchor, as_of, run_day, kind, priority,
    channel, template, template_sha, address_hash, variables, send_state, reason
)
select
    :run_id as run_id,
    :journey as journey,
    :step as step,
    planned.customer_id,
    planned.anchor,
    planned.as_of,
    planned.run_day,
    :kind as kind,
    :priority as priority,
    :channel as channel,
    :template as template,
    :template_sha as template_sha,
    planned.address_hash,
    planned.variables,
    case when planned.final_reason is null then 'queued' else 'skipped' end as send_state,
    planned.final_reason as reason
from decided as planned
order by planned.customer_id, planned.anchor
on conflict (message_id) do nothing
