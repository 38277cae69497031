-- Publishes the seed of a draw.
update lifecycle.draws as draws
set public_word = :public_word, revealed_at = now()
where draws.name = :name and draws.revealed_at is null
