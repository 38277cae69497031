-- Records that a person (or a link scanner) reacted to a message. A run that played another day dates the reaction
-- on that day, so that the days after it see it. A form is kept once per message; sent again, it corrects the answer.
insert into lifecycle.engagements (
    message_id, customer_id, journey, step, anchor, kind, is_machine, properties, occurred_at
)
select
    messages.message_id,
    messages.customer_id,
    messages.journey,
    messages.step,
    messages.anchor,
    :kind as kind,
    :is_machine as is_machine,
    cast(:properties as jsonb) as properties,
    now() - make_interval(days => runs.skew_days) as occurred_at
from lifecycle.messages as messages
inner join lifecycle.runs as runs on messages.run_id = runs.run_id
where messages.message_id = :message_id
on conflict (message_id, kind) where kind in ('answer', 'entry') do update
    set properties = excluded.properties, recorded_at = now()
