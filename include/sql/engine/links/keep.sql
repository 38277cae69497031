-- Keeps the links of messages; rendering one again finds the same codes.
insert into lifecycle.links (code, message_id, name, target_url)
select
    kept.code,
    kept.message_id,
    kept.name,
    kept.target_url
from
    unnest(
        cast(:codes as text[]),
        cast(:message_ids as uuid[]),
        cast(:names as text[]),
        cast(:target_urls as text[])
    ) as kept (code, message_id, name, target_url)
on conflict (message_id, name) do update
    set target_url = excluded.target_url
    where links.target_url is distinct from excluded.target_url
