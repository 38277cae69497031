-- What the Email Logs find: newest first, nothing younger than the index. Every filter may be null.
select
    messages.id as number,
    messages.provider_id,
    messages.to_address,
    messages.sender,
    messages.subject,
    messages.state,
    messages.status,
    messages.accepted_at
from messages
inner join requests using (request_id)
where
    messages.channel = 'email'
    and messages.accepted_at <= :indexed_until
    and (:number is null or messages.id = :number)
    and (:provider_id is null or messages.provider_id = :provider_id)
    and (:to_address is null or messages.to_address = :to_address)
    -- Between the first and the last to that address: the index finds both, and nobody else's have to be looked at.
    and messages.id >= case when :to_address is null then 0 else (
        select min(known.id)
        from messages as known
        where known.to_address = :to_address
    ) end
    and messages.id <= case when :to_address is null then 9223372036854775807 else (
        select max(known.id)
        from messages as known
        where known.to_address = :to_address
    ) end
    and (:subject is null or messages.subject = :subject)
    and (:after is null or messages.accepted_at > :after)
    and (:from is null or messages.accepted_at >= :from)
    and (:before is null or messages.accepted_at < :before)
    and (:until is null or messages.accepted_at <= :until)
    and (
        :categories is null
        or exists (
            select 1
            from json_each(requests.body, '$.categories') as given
            where
                given.value in (
                    select value
                    from json_each(:categories)
                )
        )
    )
    and (
        :statuses is null
        or case
            when messages.state = 'cancelled' then 'dropped'
            when messages.state = 'scheduled' then 'processed'
            else coalesce(messages.status, 'delivered')
        end in (
            select value
            from json_each(:statuses)
        )
    )
order by messages.id desc
limit :limit
