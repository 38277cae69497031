-- What is paused now, by whom, why and since when.
select
    controls.scope,
    controls.reason,
    controls.changed_by,
    controls.changed_at
from lifecycle.send_controls as controls
where controls.state = 'paused'
order by controls.scope
