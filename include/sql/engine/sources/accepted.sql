-- The sources of which a person said for this run that their newest fact is all there is.
select
    checks.source,
    checks.newest_at
from lifecycle.source_checks as checks
where
    checks.journey = :journey
    and checks.as_of = :as_of
    and checks.accepted_by is not null
