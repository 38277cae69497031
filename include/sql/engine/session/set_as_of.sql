-- Fixes the instant a run answers for, and the zone its days are counted in, until the transaction ends.
select
    set_config('timezone', :zone, true),
    set_config('lifecycle.as_of', :as_of, true)
