-- How many ambiguous answers a channel got in a row so far; other senders of the channel wait until this is counted on.
select breakers.ambiguous_in_a_row
from lifecycle.breakers as breakers
where breakers.channel = :channel
for update
