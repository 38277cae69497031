-- Clicks of link scanners that look like people: told by when they come and by how many links they open at once.

-- From which network a link was opened, as a keyed hash: enough to tell one from another and nothing else.
alter table lifecycle.engagements add column network_hash bytea;
-- A link of the page behind a message, and not of the message itself.
alter table lifecycle.links add column is_on_page boolean not null default false;

-- Records that a person (or a link scanner) reacted to a message. A run that played another day dates the reaction
-- on that day, so that the days after it see it. A form is kept once per message; sent again, it corrects the answer.
-- A person's click makes the address active again: it lifts what the end of this journey suppressed, never a refusal.
-- Whoever opens an email's link within three seconds of its delivery, or every link of a message within five seconds
-- from one network, is a scanner: then the clicks before count as its own, too, and what they lifted holds again.
drop function lifecycle.record_engagement(uuid, text, boolean, jsonb);
create function lifecycle.record_engagement(
    of_message uuid, of_kind text, by_machine boolean, with_properties jsonb, from_network bytea default null
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    is_scanned boolean := false;
begin
    if of_kind = 'click' and not by_machine then
        -- Clicks on one message are judged one after the other.
        select
            messages.channel = 'email'
            and messages.delivered_at <= clock_timestamp()
            and messages.delivered_at > clock_timestamp() - interval '3 seconds'
        into by_machine
        from lifecycle.messages as messages
        where messages.message_id = of_message
        for no key update;
        by_machine := coalesce(by_machine, false);
    end if;
    insert into lifecycle.engagements (
        message_id, customer_id, journey, step, anchor, kind, is_machine, properties, occurred_at, network_hash
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
        now() - make_interval(days => runs.skew_days),
        from_network
    from lifecycle.messages as messages
    inner join lifecycle.runs as runs on messages.run_id = runs.run_id
    where messages.message_id = of_message
    on conflict (message_id, kind) where kind in ('answer', 'entry') do update
        set properties = excluded.properties, recorded_at = now();
    if of_kind <> 'click' or by_machine then
        return;
    end if;
    select count(*) > 1 and count(*) = count(opened.name) into is_scanned
    from lifecycle.links as links
    left join (
        select distinct clicks.properties ->> 'link' as name
        from lifecycle.engagements as clicks
        where
            clicks.message_id = of_message
            and clicks.kind = 'click'
            and clicks.network_hash = from_network
            and clicks.recorded_at > now() - interval '5 seconds'
    ) as opened on links.name = opened.name
    where links.message_id = of_message and not links.is_on_page and links.name <> 'unsubscribe';
    if is_scanned then
        update lifecycle.engagements as clicks
        set is_machine = true
        where
            clicks.message_id = of_message
            and clicks.kind = 'click'
            and clicks.network_hash = from_network
            and clicks.recorded_at > now() - interval '5 seconds';
        update lifecycle.messages as messages
        set clicked_at = (
            select min(clicks.recorded_at)
            from lifecycle.engagements as clicks
            where clicks.message_id = of_message and clicks.kind = 'click' and not clicks.is_machine
        )
        where messages.message_id = of_message and messages.clicked_at > now() - interval '5 seconds';
    else
        update lifecycle.messages as messages
        set clicked_at = now()
        where messages.message_id = of_message and messages.clicked_at is null;
    end if;
    update lifecycle.suppressions as suppressions
    set lifted_at = case when not is_scanned then now() end
    from lifecycle.messages as messages
    where
        messages.message_id = of_message
        and suppressions.channel = messages.channel
        and suppressions.address_hash = messages.address_hash
        and suppressions.source = messages.journey
        and suppressions.reason not in ('unsubscribed', 'stop', 'bounced', 'complained', 'invalid_address')
        and case
            when is_scanned then suppressions.lifted_at > now() - interval '5 seconds'
            else suppressions.lifted_at is null
        end;
end
$$;
revoke all on function lifecycle.record_engagement(uuid, text, boolean, jsonb, bytea) from public;
grant execute on function lifecycle.record_engagement(uuid, text, boolean, jsonb, bytea) to lifecycle_receiver;

-- Keeps a link that a page shows; a message's links never change their code.
create or replace function lifecycle.keep_link(with_code text, of_message uuid, by_name text, to_url text) returns void
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
    insert into lifecycle.links (code, message_id, name, target_url, is_on_page)
    values (with_code, of_message, by_name, to_url, true)
    on conflict (message_id, name) do update set target_url = excluded.target_url
    where links.target_url is distinct from excluded.target_url;
$$;
