-- Plans one message per person of a step's audience: queued, or skipped with the first rule that forbids it.
-- Identity is journey / step / customer / anchor, so planning again adds nothing (architecture §5).
with due as (

    select
        audiences.customer_id,
        audiences.anchor,
        audiences.variables,
        runs.as_of,
        enrollments.enrollment_id,
        enrollments.exited_at is not null
        or audiences.customer_id = any(cast(:converted_ids as text[])) as has_converted,
        contacts.address,
        contacts.address_hash,
        coalesce(contacts.has_consent, false) as has_consent,
        coalesce(contacts.is_suppressed, false) as is_suppressed,
        mod(
            ('x' || left(md5(:journey || '/' || audiences.customer_id), 8))::bit(32)::bigint, 100
        ) < :holdout_percent as is_held_out
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
            when due.is_held_out then 'holdout'
            when due.address is null then 'invalid_address'
            when not due.has_consent then 'no_consent'
            when due.is_suppressed then 'suppressed'
        end as reason
    from due

),

one_per_address as (

    select
        judged.*,
        case
            when judged.reason is not null then judged.reason
            when
                row_number() over (
                    partition by judged.reason is null, judged.address_hash
                    order by judged.customer_id, judged.anchor
                ) > 1
                then 'duplicate_address'
            when
                exists (
                    select 1
                    from lifecycle.messages as earlier
                    where
                        earlier.run_id = :run_id
                        and earlier.channel = :channel
                        and earlier.address_hash = judged.address_hash
                        and earlier.send_state <> 'skipped'
                        and (earlier.step, earlier.customer_id, earlier.anchor)
                        is distinct from (:step, judged.customer_id, judged.anchor)
                )
                then 'duplicate_address'
        end as final_reason
    from judged

)

insert into lifecycle.messages (
    dedupe_key, run_id, journey, step, customer_id, anchor, as_of,
    channel, template, template_sha, address_hash, variables, send_state, reason
)
select
    lifecycle.dedupe_key(:journey, :step, planned.customer_id, planned.anchor) as dedupe_key,
    :run_id as run_id,
    :journey as journey,
    :step as step,
    planned.customer_id,
    planned.anchor,
    planned.as_of,
    :channel as channel,
    :template as template,
    :template_sha as template_sha,
    planned.address_hash,
    planned.variables,
    case when planned.final_reason is null then 'queued' else 'skipped' end as send_state,
    planned.final_reason as reason
from one_per_address as planned
order by planned.customer_id, planned.anchor
on conflict (dedupe_key) do nothing
