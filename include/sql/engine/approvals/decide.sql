-- Records what a person said about an audience that is held, or that nobody said anything in time.
update lifecycle.held_audiences
set decision = :decision, decided_by = :decided_by, decided_at = now()
where
    run_id = :run_id
    and step = :step
    and people = :people
    and fingerprint = :fingerprint
