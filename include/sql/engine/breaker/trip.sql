-- Pauses a channel, so that every claim stops everywhere. Who paused it before keeps the word.
insert into lifecycle.send_controls as controls (scope, state, reason, changed_by)
values (:channel, 'paused', :reason, :changed_by)
on conflict (scope) do update
    set
        state = excluded.state,
        reason = excluded.reason,
        changed_by = excluded.changed_by,
        changed_at = now()
    where controls.state = 'open'
