-- Who won, in the order of the places.
select draw_winners.customer_id
from lifecycle.draw_winners as draw_winners
where draw_winners.draw = :name
order by draw_winners.place
