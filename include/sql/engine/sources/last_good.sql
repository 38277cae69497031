-- What the sources of a journey were like when nothing was wrong with them last.
select distinct on (checks.source)
    checks.source,
    checks.row_count,
    checks.null_shares
from lifecycle.source_checks as checks
where
    checks.journey = :journey
    and checks.problem = ''
order by checks.source asc, checks.check_id desc
