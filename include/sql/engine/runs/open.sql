-- Opens the run of a journey for an instant, or opens it again: a day has one run, however often it is executed.
insert into lifecycle.runs (journey, as_of, run_day, zone, run_type, skew_days, git_sha)
values (:journey, :as_of, :run_day, :zone, :run_type, :skew_days, :git_sha)
on conflict (journey, as_of) do update
    set
        run_type = excluded.run_type,
        git_sha = excluded.git_sha,
        started_at = now(),
        finished_at = null
returning run_id
