-- A suppression belongs to whoever asked for it: what one journey (or page, or provider) says and takes back changes
-- nothing about what another one said. And events of SendGrid without our id find their message by its request.

alter table lifecycle.suppressions
drop constraint suppressions_pkey,
add primary key (channel, address_hash, reason, source);

-- Requests to SendGrid; Twilio's ids have 34 letters and come back with our own.
create index attempts_of_request on lifecycle.attempts (provider_id)
where provider_id <> '' and length(provider_id) < 34;

-- Suppresses an address of a person and keeps their refusal as consent.
create or replace function lifecycle.refuse(
    of_customer text, by_channel text, at_address bytea, for_reason text, by_source text, with_proof jsonb
) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    insert into lifecycle.consents (customer_id, channel, is_granted, source, proof)
    select of_customer, by_channel, false, by_source, with_proof
    where of_customer is not null;

    insert into lifecycle.suppressions as suppressions (channel, address_hash, reason, source)
    select by_channel, at_address, for_reason, by_source
    where at_address is not null
    on conflict (channel, address_hash, reason, source) do update
        set
            lifted_at = null,
            suppressed_at
            = case when suppressions.lifted_at is null then suppressions.suppressed_at else excluded.suppressed_at end;
$$;

-- Stores a batch of events and folds the new ones into their messages, suppressions and consents.
-- Evidence wins: a message whose fate was unknown is accepted when its provider speaks of it.
-- An event that does not carry our id is about the message of its request to its address, if there is one.
create or replace function lifecycle.receive_events(from_provider text, events json)
returns table (count_new bigint, count_unknown bigint, count_settled bigint, count_suppressed bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    return query
    with incoming as (

        select
            event.event_id,
            event.natural_key,
            coalesce(
                event.message_id,
                case
                    when event.message_id is null and event.address is not null and length(event.provider_id) < 34
                        then (
                            select min(requested.message_id::text)::uuid
                            from lifecycle.attempts as requests
                            inner join lifecycle.messages as requested on requests.message_id = requested.message_id
                            where
                                requests.provider_id = event.provider_id
                                and requests.provider_id <> ''
                                and length(requests.provider_id) < 34
                                and requested.address_hash = lifecycle.address_hash(event.address)
                        )
                end
            ) as message_id,
            event.kind,
            event.is_machine,
            event.code,
            event.raw_sha256,
            event.suppresses,
            event.address,
            event.provider_id,
            least(coalesce(to_timestamp(event.occurred), now()), now()) as occurred_at
        from json_to_recordset(events) as event (
            event_id text,
            natural_key text,
            message_id uuid,
            kind text,
            is_machine boolean,
            code text,
            occurred double precision,
            raw_sha256 text,
            suppresses text,
            address text,
            provider_id text
        )

    ),

    fresh as (

        insert into lifecycle.message_events as inbox (
            provider, event_id, natural_key, message_id, kind, is_machine, code, occurred_at, raw_sha256
        )
        select
            from_provider,
            incoming.event_id,
            decode(incoming.natural_key, 'hex'),
            incoming.message_id,
            incoming.kind,
            incoming.is_machine,
            incoming.code,
            incoming.occurred_at,
            decode(incoming.raw_sha256, 'hex')
        from incoming
        -- Always in the same order, so that two batches wait for each other instead of blocking each other.
        order by incoming.event_id
        on conflict do nothing
        returning inbox.event_id, inbox.message_id, inbox.kind, inbox.is_machine, inbox.occurred_at

    ),

    known as (

        select
            messages.message_id,
            messages.attempt_id,
            messages.customer_id,
            messages.address_hash,
            messages.send_state in ('sending', 'uncertain', 'unconfirmed')
            or (messages.send_state = 'queued' and messages.attempt_count > 0) as was_unsettled
        from lifecycle.messages as messages
        where
            messages.message_id in (select fresh.message_id from fresh)
            and messages.channel = case from_provider when 'sendgrid' then 'email' else 'sms' end
        order by messages.message_id
        for no key update

    ),

    told as (

        select
            fresh.*,
            incoming.suppresses,
            incoming.address,
            incoming.provider_id,
            known.message_id is not null as is_known,
            known.customer_id,
            known.address_hash
        from fresh
        inner join incoming on fresh.event_id = incoming.event_id
        left join known on fresh.message_id = known.message_id

    ),

    reported as (

        select
            told.message_id,
            (array_agg(told.kind order by lifecycle.delivery_rank(told.kind) desc nulls last))[1] as delivery_state,
            min(told.occurred_at) filter (where told.kind = 'delivered') as delivered_at,
            min(told.occurred_at) filter (where told.kind = 'opened' and not told.is_machine) as opened_human_at,
            min(told.occurred_at) filter (where told.kind = 'opened' and told.is_machine) as opened_machine_at,
            min(told.occurred_at) filter (where told.kind = 'clicked' and not told.is_machine) as clicked_at,
            min(told.occurred_at) filter (where told.kind = 'complained') as complained_at,
            min(told.occurred_at) filter (where told.kind = 'unsubscribed') as unsubscribed_at,
            min(told.provider_id) as provider_id
        from told
        where told.is_known
        group by told.message_id

    ),

    folded as (

        update lifecycle.messages as messages
        set
            delivery_state = case
                when
                    lifecycle.delivery_rank(reported.delivery_state)
                    > coalesce(lifecycle.delivery_rank(messages.delivery_state), 0)
                    then reported.delivery_state
                else messages.delivery_state
            end,
            delivered_at = least(messages.delivered_at, reported.delivered_at),
            opened_human_at = least(messages.opened_human_at, reported.opened_human_at),
            opened_machine_at = least(messages.opened_machine_at, reported.opened_machine_at),
            clicked_at = least(messages.clicked_at, reported.clicked_at),
            complained_at = least(messages.complained_at, reported.complained_at),
            unsubscribed_at = least(messages.unsubscribed_at, reported.unsubscribed_at),
            provider = coalesce(messages.provider, from_provider),
            provider_id = coalesce(messages.provider_id, reported.provider_id),
            send_state = case when known.was_unsettled then 'accepted' else messages.send_state end,
            settled_at = case when known.was_unsettled then now() else messages.settled_at end,
            lease_until = case when known.was_unsettled then null else messages.lease_until end,
            retry_after = case when known.was_unsettled then null else messages.retry_after end
        from known
        inner join reported on known.message_id = reported.message_id
        where messages.message_id = known.message_id

    ),

    settled as (

        insert into lifecycle.attempts (attempt_id, message_id, started_at, outcome, detail)
        select
            known.attempt_id,
            known.message_id,
            now(),
            'accepted',
            'the provider reported an event of it'
        from known
        where
            known.was_unsettled
            and known.attempt_id is not null
        on conflict (attempt_id) do nothing

    ),

    refusals as (

        insert into lifecycle.consents (customer_id, channel, is_granted, source, proof, occurred_at)
        select
            told.customer_id,
            case from_provider when 'sendgrid' then 'email' else 'sms' end,
            false,
            from_provider,
            jsonb_build_object('message_id', told.message_id, 'event_id', told.event_id, 'kind', told.kind),
            told.occurred_at
        from told
        where
            told.is_known
            and told.kind in ('complained', 'unsubscribed')

    ),

    accused as (

        select
            coalesce(told.address_hash, lifecycle.address_hash(told.address)) as address_hash,
            told.suppresses as reason,
            max(told.occurred_at) as occurred_at
        from told
        where told.suppresses is not null
        group by 1, 2

    ),

    suppressed as (

        insert into lifecycle.suppressions as suppressions (
            channel, address_hash, reason, source, suppressed_at, lifted_at
        )
        select
            case from_provider when 'sendgrid' then 'email' else 'sms' end,
            accused.address_hash,
            accused.reason,
            from_provider,
            accused.occurred_at,
            -- What happened before a person came back does not turn them away again, whoever had told of it first.
            (
                select max(earlier.lifted_at)
                from lifecycle.suppressions as earlier
                where
                    earlier.channel = case from_provider when 'sendgrid' then 'email' else 'sms' end
                    and earlier.address_hash = accused.address_hash
                    and earlier.reason = accused.reason
                    and earlier.lifted_at >= accused.occurred_at
            )
        from accused
        where accused.address_hash is not null
        order by accused.address_hash, accused.reason
        on conflict (channel, address_hash, reason, source) do update
            set
                lifted_at = case when suppressions.lifted_at is not null then excluded.lifted_at end,
                suppressed_at = greatest(suppressions.suppressed_at, excluded.suppressed_at)
        returning suppressions.reason

    )

    select
        (select count(*) from told),
        (select count(*) from told where not told.is_known),
        (select count(*) from known where known.was_unsettled),
        (select count(*) from suppressed);
end
$$;
