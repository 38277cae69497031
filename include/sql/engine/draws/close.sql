-- Closes a draw: from now on nobody joins it.
update lifecycle.draws as draws
set entries_sha = :entries_sha, closed_at = now()
where draws.name = :name and draws.closed_at is null
