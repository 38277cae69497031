-- What a customer is owed for the renewals of friends, by currency, in hundredths.
select
    cash.currency,
    sum(cash.amount_cents)::bigint as amount_cents
from lifecycle.referral_cash as cash
where
    cash.referrer_id = :customer_id
    and cash.occurred_at < lifecycle.as_of()
group by cash.currency
order by cash.currency
