-- What stands in the ledger about a fact.
select
    entries.kind,
    entries.account_id,
    entries.other_side,
    entries.requested,
    entries.points,
    entries.details
from lifecycle.points_entries as entries
where entries.fact = :fact and entries.revision = 1
