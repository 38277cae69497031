-- Cancelled holds whose time is long over: SendGrid has discarded what was in them.
select holds.batch_id
from lifecycle.holds as holds
where
    holds.cancelled_at is not null
    and holds.forgotten_at is null
    and holds.send_at < now() - make_interval(secs => :keep_seconds)
order by holds.send_at
limit :most
