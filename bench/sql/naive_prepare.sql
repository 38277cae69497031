-- A queue with the people of the measured day.
drop table if exists public.naive_queue;
create table public.naive_queue (
    place bigint generated always as identity primary key,
    message_id uuid not null default gen_random_uuid(),
    phone text not null,
    state text not null default 'new',
    taken_at timestamptz
);
insert into public.naive_queue (phone)
select customers.phone
from imported.customers as customers
inner join imported.orders as orders on customers.customer_id = orders.customer_id
where orders.ordered_at < '2026-03-02'
order by customers.customer_id
limit {messages};
