-- Holds what recommendation files found, by the number of the file among those asked; gone with the transaction.
create temporary table picked_items (
    list text not null,
    file_number integer not null,
    customer_id text not null,
    anchor text not null,
    item_id text not null,
    place integer not null,
    printable jsonb not null
) on commit drop
