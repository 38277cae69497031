-- Remembers how many ambiguous answers a channel got in a row; nothing is written while that does not change.
update lifecycle.breakers
set ambiguous_in_a_row = :in_a_row
where
    channel = :channel
    and ambiguous_in_a_row <> :in_a_row
