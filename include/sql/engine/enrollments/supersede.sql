-- Ends open enrollments of people who entered the same journey again with a newer anchor, at the moment they did (A-2).
update lifecycle.enrollments as older
set
    exited_at = (
        select min(newer.entered_at)
        from lifecycle.enrollments as newer
        where
            newer.journey = older.journey
            and newer.customer_id = older.customer_id
            and newer.entered_at > older.entered_at
    ),
    exit_reason = 'superseded'
where
    older.journey = :journey
    and older.exited_at is null
    and exists (
        select 1
        from lifecycle.enrollments as newer
        where
            newer.journey = older.journey
            and newer.customer_id = older.customer_id
            and newer.entered_at > older.entered_at
            and newer.entered_at <= :known_at
    )
