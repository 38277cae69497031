-- One marketing message per person and day: what other journeys still have queued for these people loses to a step of
-- higher priority that was just planned. `:few_people` is that of the plan.
update lifecycle.messages as losers
set send_state = 'skipped', reason = 'lost_to(' || :journey || ')', settled_at = now()
from lifecycle.messages as winners
inner join lifecycle.runs as others
    on
        others.journey <> :journey
        and others.run_day <= :today
        and others.run_day + others.late_days >= :today
where
    winners.run_id = :run_id
    and winners.step = :step
    and winners.kind = 'marketing'
    and winners.send_state = 'queued'
    and losers.run_id = others.run_id
    and losers.customer_id = winners.customer_id
    and losers.kind = 'marketing'
    and losers.send_state = 'queued'
    and losers.planned_on = :today
    and losers.priority < winners.priority
    and (cast(:few_people as text[]) is null or losers.customer_id = any(cast(:few_people as text[])))
