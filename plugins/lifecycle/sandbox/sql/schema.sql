-- What the sandbox received: each request once, and one row for each person it was for.
create table if not exists requests (
    request_id integer primary key,
    received_at text not null,
    body text not null
);

create table if not exists messages (
    id integer primary key autoincrement,
    request_id integer not null references requests (request_id) on delete cascade,
    position integer not null,
    channel text not null,
    provider text not null,
    provider_id text not null,
    message_id text,
    to_address text not null collate nocase,
    sender text not null,
    subject text not null,
    text text not null,
    sms_parts integer,
    encoding text
);

create index if not exists messages_by_address on messages (to_address, id);
create index if not exists messages_by_provider_id on messages (provider_id);
create index if not exists messages_by_message_id on messages (message_id);
