-- Whether a person approved of exactly this audience.
select exists(
    select 1
    from lifecycle.held_audiences as held
    where
        held.run_id = :run_id
        and held.step = :step
        and held.people = :people
        and held.fingerprint = :fingerprint
        and held.decision = 'approved'
) as is_approved
