-- What the public receiver does for people, as functions; and the role that may call them and do nothing else.

-- The views that some functions read are created after the last migration.
set local check_function_bodies = off;

-- The public receiver works as this role: it may call the functions below and look links up, and nothing else.
-- An operator who wants it to log in by itself says: alter role lifecycle_receiver login password '...'.
do $$
begin
    if not exists (select 1 from pg_roles where rolname = 'lifecycle_receiver') then
        create role lifecycle_receiver nologin nosuperuser nocreatedb nocreaterole;
    end if;
    execute format('grant lifecycle_receiver to %I', current_user);
end
$$;

-- Records that a person (or a link scanner) reacted to a message. A run that played another day dates the reaction
-- on that day, so that the days after it see it. A form is kept once per message; sent again, it corrects the answer.
-- A person's click makes the address active again: it lifts what the end of this journey suppressed, never a refusal.
create function lifecycle.record_engagement(of_message uuid, of_kind text, by_machine boolean, with_properties jsonb)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    insert into lifecycle.engagements (
        message_id, customer_id, journey, step, anchor, kind, is_machine, properties, occurred_at
    )
    select
        messages.message_id,
        messages.customer_id,
        messages.journey,
        messages.step,
        messages.anchor,
        of_kind,
        by_machine,
        with_properties,
        now() - make_interval(days => runs.skew_days)
    from lifecycle.messages as messages
    inner join lifecycle.runs as runs on messages.run_id = runs.run_id
    where messages.message_id = of_message
    on conflict (message_id, kind) where kind in ('answer', 'entry') do update
        set properties = excluded.properties, recorded_at = now();
    if of_kind = 'click' and not by_machine then
        update lifecycle.messages as messages
        set clicked_at = now()
        where messages.message_id = of_message and messages.clicked_at is null;
        update lifecycle.suppressions as suppressions
        set lifted_at = now()
        from lifecycle.messages as messages
        where
            messages.message_id = of_message
            and suppressions.channel = messages.channel
            and suppressions.address_hash = messages.address_hash
            and suppressions.source = messages.journey
            and suppressions.reason not in ('unsubscribed', 'stop', 'bounced', 'complained', 'invalid_address')
            and suppressions.lifted_at is null;
    end if;
end
$$;

-- Suppresses an address of a person and keeps their refusal as consent.
create function lifecycle.refuse(
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
    on conflict (channel, address_hash, reason) do update
        set
            lifted_at = null,
            source = excluded.source,
            suppressed_at
            = case when suppressions.lifted_at is null then suppressions.suppressed_at else excluded.suppressed_at end;
$$;

-- A person's refusal by the link of a message: it counts before the next claim (H-08).
create function lifecycle.unsubscribe(of_message uuid, by_source text) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    select lifecycle.refuse(
        messages.customer_id, messages.channel, messages.address_hash, 'unsubscribed', by_source,
        jsonb_build_object('message_id', messages.message_id)
    )
    from lifecycle.messages as messages
    where messages.message_id = of_message;

    update lifecycle.messages as messages
    set unsubscribed_at = now()
    where messages.message_id = of_message and messages.unsubscribed_at is null;
$$;

-- Which channels the person of a message may switch: those they once agreed to and have an address for. What their
-- provider reports (a STOP, a bounce, a complaint) cannot be undone on a page.
create function lifecycle.channel_preferences(of_message uuid)
returns table (channel text, is_on boolean, is_blocked boolean)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        contacts.channel,
        contacts.has_consent and not contacts.is_suppressed,
        exists (
            select 1
            from lifecycle.suppressions as suppressions
            where
                suppressions.channel = contacts.channel
                and suppressions.address_hash = contacts.address_hash
                and suppressions.source in ('sendgrid', 'twilio')
                and suppressions.lifted_at is null
        )
    from lifecycle.messages as messages
    inner join lifecycle.contacts as contacts on messages.customer_id = contacts.customer_id
    where
        messages.message_id = of_message
        and contacts.address is not null
        and (
            contacts.has_consent
            or exists (
                select 1
                from lifecycle.consents as consents
                where
                    consents.customer_id = contacts.customer_id
                    and consents.channel = contacts.channel
                    and consents.is_granted
            )
            or exists (
                select 1
                from shop.customers as customers
                where
                    customers.customer_id = contacts.customer_id
                    and case contacts.channel
                        when 'email' then customers.email_opt_in_at
                        else customers.sms_opt_in_at
                    end is not null
            )
        )
    order by contacts.channel;
$$;

-- Switches one channel of the person of a message; asking for what already holds changes nothing.
create function lifecycle.set_channel_preference(of_message uuid, for_channel text, wanted boolean, by_source text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    contact record;
    proof jsonb := jsonb_build_object('message_id', of_message);
begin
    select contacts.customer_id, contacts.address_hash into contact
    from lifecycle.channel_preferences(of_message) as preference
    inner join lifecycle.messages as messages on messages.message_id = of_message
    inner join lifecycle.contacts as contacts
        on contacts.customer_id = messages.customer_id and contacts.channel = preference.channel
    where
        preference.channel = for_channel
        and preference.is_on is distinct from wanted
        and not (wanted and preference.is_blocked);
    if not found then
        return;
    end if;
    if not wanted then
        perform lifecycle.refuse(
            contact.customer_id, for_channel, contact.address_hash, 'unsubscribed', by_source, proof
        );
        return;
    end if;
    update lifecycle.suppressions as suppressions
    set lifted_at = now()
    where
        suppressions.channel = for_channel
        and suppressions.address_hash = contact.address_hash
        and suppressions.lifted_at is null;
    insert into lifecycle.consents (customer_id, channel, is_granted, source, proof)
    values (contact.customer_id, for_channel, true, by_source, proof);
end
$$;

-- Acts on an SMS from a person: `stop` suppresses the number at once, `start` lifts that and nothing else, `help` is
-- answered by the provider, and every other text is a reply to the newest message to the number. A `start` from
-- somebody who never stopped ("yes") is a reply too. Says what it was taken as; null for one that came before.
create function lifecycle.receive_sms(
    event_id text, sender text, meaning text, reply_text text, raw_sha256 bytea
) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    number_hash bytea := lifecycle.address_hash(sender);
    proof jsonb := jsonb_build_object('event_id', receive_sms.event_id);
    answered uuid;
begin
    select messages.message_id into answered
    from lifecycle.messages as messages
    where
        messages.channel = 'sms'
        and messages.send_state in ('sending', 'accepted', 'uncertain', 'unconfirmed')
        and messages.address_hash = number_hash
    order by messages.planned_at desc, messages.message_id
    limit 1;
    insert into lifecycle.message_events (provider, event_id, message_id, kind, occurred_at, raw_sha256)
    values ('twilio', receive_sms.event_id, answered, meaning, now(), receive_sms.raw_sha256)
    on conflict do nothing;
    if not found then
        return null;
    end if;
    if meaning = 'stop' then
        perform lifecycle.refuse(null, 'sms', number_hash, 'stop', 'twilio', proof);
        insert into lifecycle.consents (customer_id, channel, is_granted, source, proof)
        select person.customer_id, 'sms', false, 'sms_stop', proof
        from lifecycle.people_of_number(number_hash) as person;
        update lifecycle.messages as messages
        set unsubscribed_at = now()
        where messages.message_id = answered and messages.unsubscribed_at is null;
        return 'stop';
    end if;
    if meaning = 'start' then
        update lifecycle.suppressions as suppressions
        set lifted_at = now()
        where
            suppressions.channel = 'sms'
            and suppressions.address_hash = number_hash
            and suppressions.reason = 'stop'
            and suppressions.lifted_at is null;
        if found then
            -- A refusal given elsewhere stays: START takes back STOP.
            insert into lifecycle.consents (customer_id, channel, is_granted, source, proof)
            select person.customer_id, 'sms', true, 'sms_start', proof
            from lifecycle.people_of_number(number_hash) as person
            where person.latest_consent = 'sms_stop';
            return 'start';
        end if;
        meaning := 'reply';
    end if;
    if meaning = 'reply' and answered is not null then
        perform lifecycle.record_engagement(answered, 'reply', false, jsonb_build_object('text', reply_text));
    end if;
    return meaning;
end
$$;

-- The customers messages to a number were for, else those the shop knows under it, with the source of what they last
-- said about SMS.
create function lifecycle.people_of_number(number_hash bytea)
returns table (customer_id text, latest_consent text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    with written_to as (

        select distinct messages.customer_id
        from lifecycle.messages as messages
        where
            messages.channel = 'sms'
            and messages.send_state in ('sending', 'accepted', 'uncertain', 'unconfirmed')
            and messages.address_hash = number_hash

    ),

    people as (

        select written_to.customer_id
        from written_to
        union
        select contacts.customer_id
        from lifecycle.contacts as contacts
        where
            contacts.channel = 'sms'
            and contacts.address_hash = number_hash
            and not exists (select 1 from written_to)

    )

    select
        people.customer_id,
        (
            select consents.source
            from lifecycle.consents as consents
            where
                consents.customer_id = people.customer_id
                and consents.channel = 'sms'
            order by consents.occurred_at desc, consents.consent_id desc
            limit 1
        )
    from people;
$$;

-- What a page may know about the one person its message was for.
create function lifecycle.person_of_message(of_message uuid)
returns table (
    customer_id text, first_name text, last_name text, email text, phone text, country text, city text, locale text,
    timezone text, birthday date
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select
        customers.customer_id, customers.first_name, customers.last_name, customers.email, customers.phone,
        customers.country, customers.city, customers.locale, customers.timezone, customers.birthday
    from lifecycle.messages as messages
    inner join shop.customers as customers on messages.customer_id = customers.customer_id
    where messages.message_id = of_message;
$$;

-- The voucher a page shows again.
create function lifecycle.voucher_of_message(of_message uuid)
returns table (code text, percent_off integer, valid_until timestamptz)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select vouchers.code, vouchers.percent_off, vouchers.valid_until
    from lifecycle.vouchers as vouchers
    where vouchers.message_id = of_message;
$$;

-- Keeps a link that a page shows; a message's links never change their code.
create function lifecycle.keep_link(with_code text, of_message uuid, by_name text, to_url text) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    insert into lifecycle.links (code, message_id, name, target_url)
    values (with_code, of_message, by_name, to_url)
    on conflict (message_id, name) do update set target_url = excluded.target_url
    where links.target_url is distinct from excluded.target_url;
$$;

-- Functions may be called by everybody unless that is taken away: analysts' SQL never gets at these.
do $$
declare
    callable record;
begin
    for callable in
        select
            pg_proc.oid::regprocedure as signature,
            pg_proc.proname as name
        from pg_proc
        where pg_proc.pronamespace = 'lifecycle'::regnamespace and pg_proc.prosecdef
    loop
        execute format('revoke all on function %s from public', callable.signature);
        if callable.name not in ('refuse', 'people_of_number') then
            execute format('grant execute on function %s to lifecycle_receiver', callable.signature);
        end if;
    end loop;
end
$$;
grant usage on schema lifecycle to lifecycle_receiver;
grant select on lifecycle.links to lifecycle_receiver;
grant select on lifecycle.runs to lifecycle_receiver;
grant select (message_id, run_id, journey, step, channel, customer_id, as_of) on lifecycle.messages
to lifecycle_receiver;
