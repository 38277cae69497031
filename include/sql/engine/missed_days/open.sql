-- The run of a missed day, which nobody executes now: it only holds the audiences of that day.
insert into lifecycle.runs as runs (journey, as_of, run_day, zone, run_type, skew_days, git_sha)
values (:journey, :as_of, :run_day, :zone, 'missed', :skew_days, :git_sha)
on conflict (journey, as_of) do update
    -- Nothing changes; only so does the statement return the run that is there.
    set as_of = excluded.as_of
returning run_id
