-- What waits for a person, without naming anybody: paused scopes with who, why and how many wait behind them, then by
-- step what is queued for more than a day, being sent beyond its lease, uncertain, or lately given up, and unusual
-- audiences of unfinished runs.
select
    'paused' as problem,
    controls.scope as place,
    (
        select count(*)
        from lifecycle.messages as messages
        where
            messages.send_state = 'queued'
            and controls.scope in ('all', messages.channel, messages.journey)
    ) as messages,
    controls.changed_at as since,
    concat_ws(': ', nullif(controls.changed_by, ''), nullif(controls.reason, '')) as why
from lifecycle.send_controls as controls
where controls.state = 'paused'

union all

select
    messages.send_state as problem,
    messages.journey || '/' || messages.step as place,
    count(*) as messages,
    min(coalesce(attempts.ended_at, messages.lease_until, messages.planned_at)) as since,
    case messages.send_state
        when 'queued' then 'planned more than a day ago'
        when 'sending' then 'its sender did not report back'
        when 'uncertain' then 'nobody knows whether it was sent'
        else 'no evidence within three days, in the last 30 days'
    end as why
from lifecycle.messages as messages
left join lifecycle.attempts as attempts
    on
        messages.attempt_id = attempts.attempt_id
        and messages.send_state <> 'queued'
where
    (
        messages.send_state = 'queued'
        and messages.planned_at < now() - interval '1 day'
        and (messages.retry_after is null or messages.retry_after < now())
        and (messages.send_after is null or messages.send_after < now())
    )
    or (messages.send_state = 'sending' and messages.lease_until < now())
    or messages.send_state = 'uncertain'
    or (messages.send_state = 'unconfirmed' and messages.settled_at > now() - interval '30 days')
group by 1, 2, 5

union all

select
    'held' as problem,
    runs.journey || '/' || held.step as place,
    held.people as messages,
    held.held_at as since,
    concat_ws(
        ', ',
        held.why,
        case held.decision
            when 'rejected' then concat_ws(' ', nullif(held.decided_by, ''), 'said no')
            when 'timed_out' then 'nobody answered in time'
        end
    ) as why
from lifecycle.runs as runs
inner join lifecycle.held_audiences as held on runs.run_id = held.run_id
where
    runs.finished_at is null
    and held.decision is distinct from 'approved'
    -- Of several audiences of a step the last one that was asked about.
    and not exists (
        select 1
        from lifecycle.held_audiences as later
        where
            later.run_id = held.run_id
            and later.step = held.step
            and later.held_at > held.held_at
    )
order by 1, 2
