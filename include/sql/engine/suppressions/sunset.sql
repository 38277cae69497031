-- Ends the journey for those who never reacted and suppresses the channel's marketing for their address (H-01, A-11).
with ended as (

    update lifecycle.enrollments as enrollments
    set exited_at = :as_of, exit_reason = :reason
    from pg_temp.ended_enrollments as found
    where
        enrollments.journey = :journey
        and enrollments.customer_id = found.customer_id
        and enrollments.anchor = found.anchor
        and enrollments.exited_at is null
    returning enrollments.customer_id

)

insert into lifecycle.suppressions (channel, address_hash, reason, source)
select distinct
    :channel as channel,
    contacts.address_hash,
    :reason as reason,
    :journey as source
from ended
inner join lifecycle.contacts as contacts
    on
        ended.customer_id = contacts.customer_id
        and contacts.channel = :channel
where contacts.address_hash is not null
on conflict (channel, address_hash, reason, source) do update
    set lifted_at = null, suppressed_at = now()
