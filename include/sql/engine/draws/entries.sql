-- Who takes part, in the order in which their entries are numbered.
select
    draw_entries.customer_id,
    draw_entries.entries
from lifecycle.draw_entries as draw_entries
where draw_entries.draw = :name
order by draw_entries.customer_id collate "C"
