-- Announces a draw, unless one of that name is known.
insert into lifecycle.draws (name, commitment, seed, winner_count, sql_file, closes_at)
values (:name, :commitment, :seed, :winner_count, :sql_file, :closes_at)
on conflict (name) do nothing
returning draws.name
