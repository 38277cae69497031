-- Pauses or opens a scope: 'all', a channel or a journey. Every claim reads it.
insert into lifecycle.send_controls (scope, state, reason, changed_by)
values (:scope, :state, :reason, :changed_by)
on conflict (scope) do update
    set
        state = excluded.state,
        reason = excluded.reason,
        changed_by = excluded.changed_by,
        changed_at = now()
