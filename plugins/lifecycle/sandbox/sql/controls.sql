-- Everything that was switched on.
select
    name,
    value
from controls
