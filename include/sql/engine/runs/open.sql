-- Opens the run of a journey for an instant, or opens it again: a day has one run, however often it is executed. A day
-- that was missed until now becomes a run like any other.
insert into lifecycle.runs as runs (journey, as_of, run_day, zone, run_type, late_days, skew_days, git_sha)
values (:journey, :as_of, :run_day, :zone, :run_type, :late_days, :skew_days, :git_sha)
on conflict (journey, as_of) do update
    set
        run_type = excluded.run_type,
        git_sha = excluded.git_sha,
        late_days = greatest(runs.late_days, excluded.late_days),
        skew_days = case when runs.run_type = 'missed' then excluded.skew_days else runs.skew_days end,
        started_at = now(),
        finished_at = null
returning run_id
