-- Stores a batch of events and folds them; says how many were new, of unknown messages, settled and suppressing.
select
    received.count_new,
    received.count_unknown,
    received.count_settled,
    received.count_suppressed
from lifecycle.receive_events(:provider, cast(:events as json)) as received
