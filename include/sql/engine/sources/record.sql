-- Keeps what a source looked like.
insert into lifecycle.source_checks (
    journey, as_of, source, row_count, newest_at, null_shares, problem, accepted_by
)
values (
    :journey, :as_of, :source, :row_count, :newest_at, cast(:null_shares as jsonb), :problem, :accepted_by
)
