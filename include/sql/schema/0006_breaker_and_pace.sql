-- What keeps many senders in step: when a channel stops by itself, how fast a number may send, and what needs a person.

-- How many answers in a row left open whether a message was sent. One row per channel that ever
-- had such an answer, so that every sender counts on.
create table lifecycle.breakers (
    channel text primary key check (channel in ('email', 'sms')),
    ambiguous_in_a_row integer not null default 0
);

-- When a sending number may begin its next message; every sender takes its turns from here.
create table lifecycle.sender_turns (
    sender text primary key,
    next_at timestamptz not null
);

-- Few at any time, and asked for by every look at what needs a person.
create index messages_unsettled on lifecycle.messages (journey, step)
where send_state in ('uncertain', 'unconfirmed');
