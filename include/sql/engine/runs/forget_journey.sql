-- Forgets what a journey ever did, inside a rehearsal that is rolled back.
with
forgotten as (
    select messages.message_id from lifecycle.messages as messages
    where messages.journey = :journey
),

engagements as (
    delete from lifecycle.engagements
    where message_id in (select forgotten.message_id from forgotten)
),

links as (
    delete from lifecycle.links
    where message_id in (select forgotten.message_id from forgotten)
),

vouchers as (
    delete from lifecycle.vouchers
    where message_id in (select forgotten.message_id from forgotten)
),

attempts as (
    delete from lifecycle.attempts
    where message_id in (select forgotten.message_id from forgotten)
),

held_attempts as (
    delete from lifecycle.held_attempts
    where message_id in (select forgotten.message_id from forgotten)
),

enrollments as (
    delete from lifecycle.enrollments
    where journey = :journey
),

conversions as (
    delete from lifecycle.conversions
    where journey = :journey
),

runs as (
    -- So that the journey starts with the first day of the rehearsal. Their audiences stay, and nobody finds them.
    delete from lifecycle.runs
    where journey = :journey
),

ticks as (
    delete from lifecycle.ticks
    where journey = :journey
),

suppressions as (
    delete from lifecycle.suppressions
    where source = :journey
)

delete from lifecycle.messages
where journey = :journey
