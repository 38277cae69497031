-- Draws: who takes part, and a draw of winners that everybody can repeat (L-09).

create table lifecycle.draws (
    name text primary key,
    -- The digest of the seed, published before anybody could know who takes part.
    commitment text not null,
    seed text not null,
    winner_count integer not null check (winner_count > 0),
    sql_file text not null,
    opened_at timestamptz not null default now(),
    closes_at timestamptz not null,
    -- The digest of the list of entries, published before the seed.
    entries_sha text,
    closed_at timestamptz,
    -- Something that nobody of us could know before, such as the numbers of a lottery.
    public_word text,
    revealed_at timestamptz,
    check ((entries_sha is null) = (closed_at is null)),
    check ((public_word is null) = (revealed_at is null)),
    check (revealed_at is null or closed_at is not null)
);

create table lifecycle.draw_entries (
    draw text not null references lifecycle.draws,
    customer_id text not null,
    entries integer not null check (entries > 0),
    primary key (draw, customer_id)
);

create table lifecycle.draw_winners (
    draw text not null references lifecycle.draws,
    place integer not null check (place > 0),
    customer_id text not null,
    primary key (draw, place),
    unique (draw, customer_id)
);
