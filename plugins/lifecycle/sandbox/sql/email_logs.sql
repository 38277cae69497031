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
