-- Emails that SendGrid keeps back for a while under a name of ours, so that they can be called back.

-- One row per claim: everything that is claimed together is held together.
create table lifecycle.holds (
    batch_id text primary key,
    journey text not null,
    step text not null,
    opened_at timestamptz not null default now(),
    send_at timestamptz not null,
    -- When SendGrid had certainly cancelled it; only set while that was early enough to be a promise.
    cancelled_at timestamptz,
    -- When SendGrid was told that its note of the cancellation is not needed any more.
    forgotten_at timestamptz
);
create index holds_by_time on lifecycle.holds (send_at);

-- Written with the claim, before any byte leaves: under which name an attempt is held.
create table lifecycle.held_attempts (
    attempt_id uuid primary key,
    message_id uuid not null,
    batch_id text not null references lifecycle.holds
);
create index held_attempts_by_batch on lifecycle.held_attempts (batch_id);
create index held_attempts_by_message on lifecycle.held_attempts (message_id);
