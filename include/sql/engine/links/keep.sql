-- Keeps the links of messages; rendering one again finds the same codes. The lists come as one text each, which is read
-- ten times as fast as an array; `target_number` counts the targets from 1.
insert into lifecycle.links (code, message_id, name, target_url)
select
    kept.code,
    kept.message_id,
    targets.name,
    targets.target_url
from
    unnest(
        string_to_array(:codes, ','),
        cast(string_to_array(:message_ids, ',') as uuid[]),
        cast(string_to_array(:target_numbers, ',') as integer[])
    ) as kept (code, message_id, target_number)
inner join
    unnest(
        cast(:names as text[]),
        cast(:target_urls as text[])
    ) with ordinality as targets (name, target_url, number)
    on kept.target_number = targets.number
-- Always in the same order, so that two senders wait for each other instead of blocking each other.
order by kept.message_id, targets.name
on conflict (message_id, name) do update
    set target_url = excluded.target_url
    where links.target_url is distinct from excluded.target_url
