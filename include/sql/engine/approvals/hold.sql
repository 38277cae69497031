-- Remembers that an audience waits for a person; what was approved stays approved, and everything else is asked again.
insert into lifecycle.held_audiences as held (run_id, step, people, fingerprint, why)
values (:run_id, :step, :people, :fingerprint, :why)
on conflict (run_id, step, people, fingerprint) do update
    set
        why = excluded.why,
        held_at = now(),
        decision = null,
        decided_by = null,
        decided_at = null
    where held.decision is distinct from 'approved'
