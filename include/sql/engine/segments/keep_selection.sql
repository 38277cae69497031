-- Remembers that the audience of a step is kept for a run, also when it is empty.
insert into lifecycle.selections (run_id, step, people, sql_sha)
values (:run_id, :step, :people, :sql_sha)
on conflict (run_id, step) do update
    set people = excluded.people, sql_sha = excluded.sql_sha, selected_at = now()
