-- Gives back turns that nobody was handed over in: the next sender begins so much earlier.
update lifecycle.sender_turns as turns
set next_at = greatest(turns.next_at - :turns * make_interval(secs => :seconds_each), clock_timestamp())
where turns.sender = :sender and turns.next_at > clock_timestamp()
