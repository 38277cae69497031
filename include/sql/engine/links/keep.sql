-- Keeps the links of a message; rendering it again finds the same codes.
insert into lifecycle.links (code, message_id, name, target_url)
values (:code, :message_id, :name, :target_url)
on conflict (message_id, name) do update set target_url = excluded.target_url
