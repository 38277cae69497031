-- How busy a source was in the 28 days up to its newest fact: on how many of them it had facts, and how many, up to a
-- number that is enough to know. Each day is one look into the index.
select
    (
        select count(*)
        from generate_series(1, 28) as days (number)
        where
            exists (
                select 1
                from :source
                where
                    :known_from > cast(:newest_at as timestamptz) - make_interval(days => days.number)
                    and :known_from <= cast(:newest_at as timestamptz) - make_interval(days => days.number - 1)
            )
    ) as busy_days,
    (
        select count(*)
        from (
            select 1
            from :source
            where
                :known_from > cast(:newest_at as timestamptz) - interval '28 days'
                and :known_from <= cast(:newest_at as timestamptz)
            order by :known_from desc
            limit :enough
        ) as recent
    ) as facts
