-- Whether anybody knows a customer: the shop at any time, a decision that was kept, or the points ledger.
select
    exists (
        select 1
        from source.customers as customers
        where customers.customer_id = :customer_id
    )
    or exists (
        select 1
        from lifecycle.messages as messages
        where messages.customer_id = :customer_id
    )
    or exists (
        select 1
        from lifecycle.points_accounts as accounts
        where accounts.customer_id = :customer_id
    ) as is_known
