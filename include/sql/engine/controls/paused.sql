-- What is paused now.
select
    controls.scope,
    controls.reason,
    controls.changed_at
from lifecycle.send_controls as controls
where controls.state = 'paused'
order by controls.scope
