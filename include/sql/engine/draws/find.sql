-- A draw; whoever closes or reveals it is alone with it until the transaction ends.
select
    draws.name,
    draws.commitment,
    draws.seed,
    draws.winner_count,
    draws.sql_file,
    draws.closes_at,
    draws.entries_sha,
    draws.public_word,
    draws.revealed_at
from lifecycle.draws as draws
where draws.name = :name
for update
