-- Keeps who won, in the order of the places.
insert into lifecycle.draw_winners (draw, place, customer_id)
select
    :name as draw,
    winners.place,
    winners.customer_id
from unnest(cast(:customer_ids as text[])) with ordinality as winners (customer_id, place)
