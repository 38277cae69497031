-- Notes a look of a journey, and lets one at a time do so: the row is locked until the transaction ends. Returns
-- whether it looks for the first time, or at what was before it.
insert into lifecycle.ticks as ticks (journey, switched_on_at, looked_at)
values (:journey, :as_of, :as_of)
on conflict (journey) do update
    set looked_at = greatest(ticks.looked_at, excluded.looked_at)
returning ticks.switched_on_at >= :as_of as is_first
