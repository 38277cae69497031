-- How many ambiguous answers a channel got in a row so far; other senders of the channel wait until this is counted on.
insert into lifecycle.breakers as breakers (channel)
values (:channel)
on conflict (channel) do update
    set ambiguous_in_a_row = breakers.ambiguous_in_a_row
returning breakers.ambiguous_in_a_row
