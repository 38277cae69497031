-- The instant of a journey's newest look; null when it never looked.
select max(ticks.looked_at) as looked_at
from lifecycle.ticks as ticks
where ticks.journey = :journey
