-- Remembers one switch.
insert into controls (name, value) values (:name, :value)
on conflict (name) do update set value = excluded.value
