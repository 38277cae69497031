-- The newest fact of a source; what is dated in the future is a mistake and proves nothing.
select max(:known_from) as newest_at
from :source
where :known_from < :not_after
