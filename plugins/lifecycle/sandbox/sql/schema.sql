-- What the sandbox received (each request once, and one row for each person it was for) and what is to come of it.
create table if not exists requests (
    request_id integer primary key,
    received_at text not null,
    body text not null
);

-- state: scheduled until send_at, then sent, or cancelled with its batch. status: the provider's last word, once it spoke.
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
    encoding text,
    state text not null default 'sent',
    send_at real,
    batch_id text,
    accepted_at real not null default 0,
    sent_at real,
    status text
);

create index if not exists messages_by_address on messages (to_address, id);
create index if not exists sms_by_sid on messages (provider_id) where channel = 'sms';
-- None by message_id: it would cost every insert more than it saves the few who count deliveries.
create index if not exists scheduled_messages on messages (send_at) where state = 'scheduled';

create table if not exists batches (
    batch_id text primary key,
    status text
);

-- Webhook events, callbacks, replies and clicks: what a message leads to, and when.
create table if not exists happenings (
    id integer primary key,
    number integer not null references messages (id) on delete cascade,
    kind text not null,
    name text not null,
    url text not null,
    payload text not null,
    due_at real not null,
    attempts integer not null default 0,
    state text not null default 'pending'
);

create index if not exists pending_happenings on happenings (due_at) where state = 'pending';
create index if not exists happenings_by_message on happenings (number);

-- What was switched on, so that a restart changes nothing.
create table if not exists controls (
    name text primary key,
    value text not null
);
