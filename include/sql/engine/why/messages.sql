-- What was decided about a journey's messages for a person, and what became of them. No address, no words.
select
    messages.message_id::text as message_id,
    messages.step,
    messages.anchor,
    messages.run_day,
    messages.planned_on,
    messages.planned_at,
    messages.send_state,
    coalesce(messages.reason, '') as reason,
    messages.delivery_state,
    messages.send_after,
    messages.settled_at,
    messages.delivered_at,
    messages.opened_human_at,
    messages.complained_at,
    messages.unsubscribed_at,
    messages.run_id,
    runs.run_type,
    runs.git_sha,
    tries.attempts,
    tries.outcomes,
    reactions.clicks,
    reactions.first_click_at,
    reactions.scanner_clicks,
    reactions.answers
from lifecycle.messages as messages
left join lifecycle.runs as runs on messages.run_id = runs.run_id
cross join
    lateral (
        select
            count(*) as attempts,
            coalesce(
                string_agg(
                    concat_ws(' ', attempts.outcome, attempts.http_status, nullif(attempts.provider_code, '')),
                    ', ' order by attempts.ended_at
                ),
                ''
            ) as outcomes
        from lifecycle.attempts as attempts
        where attempts.message_id = messages.message_id
    ) as tries
cross join
    lateral (
        select
            count(*) filter (where engagements.kind = 'click' and not engagements.is_machine) as clicks,
            min(engagements.occurred_at) filter (
                where engagements.kind = 'click' and not engagements.is_machine
            ) as first_click_at,
            count(*) filter (where engagements.kind = 'click' and engagements.is_machine) as scanner_clicks,
            count(*) filter (where engagements.kind <> 'click') as answers
        from lifecycle.engagements as engagements
        where engagements.message_id = messages.message_id
    ) as reactions
where
    messages.customer_id = :customer_id
    and messages.journey = :journey
order by messages.planned_at, messages.message_id
