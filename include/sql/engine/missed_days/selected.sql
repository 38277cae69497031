-- Which days of a span need no catching up: those whose run ended, or whose audiences are all kept.
select runs.run_day
from lifecycle.runs as runs
where
    runs.journey = :journey
    and runs.run_day between :from_day and :to_day
    and (
        runs.finished_at is not null
        or not exists (
            select 1
            from unnest(cast(:steps as text[])) as steps (step)
            where
                not exists (
                    select 1
                    from lifecycle.selections as selections
                    where
                        selections.run_id = runs.run_id
                        and selections.step = steps.step
                )
        )
    )
