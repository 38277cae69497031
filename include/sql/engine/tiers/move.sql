-- Tells from the ledger in which tier each touched account was from when until when, and writes what differs.
-- A tier holds for whole local days. What was earned or refunded on a day counts from the next midnight on, and no more
-- after so many days; a refund leaves with its order. Nothing here looks at a clock or at what was told before, so the
-- answer is the same whatever order days were accrued in.
-- Whoever would not reach the lowest tier if everything they ever got counted at once is looked at no further.
with hopeful as materialized (

    select entries.account_id
    from lifecycle.points_entries as entries
    inner join pg_temp.touched_accounts as touched_accounts on entries.account_id = touched_accounts.account_id
    where entries.kind in ('earned', 'reversed')
    group by entries.account_id
    having
        width_bucket(sum(greatest(entries.requested, 0))::bigint, cast(:point_steps as bigint[])) > 0
        or width_bucket(sum(greatest(entries.spend_cents, 0))::bigint, cast(:spend_steps as bigint[])) > 0

),

-- What each fact adds on the day from which on it counts, and takes away on the day from which on it does not. Rows of
-- one day have the sum of the whole day.
counted as (

    select
        entries.account_id,
        changes.on_day,
        sum(changes.points) over own_days as points,
        sum(changes.spend_cents) over own_days as spend_cents
    from lifecycle.points_entries as entries
    inner join hopeful on entries.account_id = hopeful.account_id
    cross join
        lateral (
            values
            (date(entries.occurred_at) + 1, entries.requested, entries.spend_cents),
            (
                greatest(
                    date(entries.occurred_at),
                    date(coalesce(entries.counts_from, entries.occurred_at)) + cast(:tier_days as integer)
                ) + 1,
                -entries.requested,
                -entries.spend_cents
            )
        ) as changes (on_day, points, spend_cents)
    where entries.kind in ('earned', 'reversed')
    window own_days as (partition by entries.account_id order by changes.on_day)

),

placed as (

    select
        counted.account_id,
        counted.on_day,
        greatest(
            width_bucket(counted.points::bigint, cast(:point_steps as bigint[])),
            width_bucket(counted.spend_cents::bigint, cast(:spend_steps as bigint[]))
        ) as place
    from counted

),

compared as (

    select
        placed.*,
        lag(placed.place, 1, 0) over (partition by placed.account_id order by placed.on_day) as place_before
    from placed

),

changed as (

    select
        compared.account_id,
        compared.place,
        compared.place_before,
        compared.on_day::timestamptz as since,
        lead(compared.on_day) over (partition by compared.account_id order by compared.on_day)::timestamptz as until
    from compared
    where compared.place <> compared.place_before

),

told as materialized (

    select
        changed.account_id,
        changed.since,
        changed.until,
        (cast(:tiers as text[]))[changed.place] as tier,
        (cast(:tiers as text[]))[nullif(changed.place_before, 0)] as changed_from
    from changed
    where changed.place > 0

),

gone as (

    delete from lifecycle.tier_periods as periods
    using pg_temp.touched_accounts as touched_accounts
    where
        periods.programme = :programme
        and periods.account_id = touched_accounts.account_id
        and not exists (
            select 1
            from told
            where told.account_id = periods.account_id and told.since = periods.since
        )
    returning periods.account_id

),

written as (

    insert into lifecycle.tier_periods as periods (programme, account_id, since, until, tier, changed_from)
    select
        :programme as programme,
        told.account_id,
        told.since,
        told.until,
        told.tier,
        told.changed_from
    from told
    order by told.account_id, told.since
    on conflict (programme, account_id, since) do update
        set
            until = excluded.until,
            tier = excluded.tier,
            changed_from = excluded.changed_from
        where
        (periods.until, periods.tier, periods.changed_from)
        is distinct from (excluded.until, excluded.tier, excluded.changed_from)
    returning periods.account_id

)

select
    (select count(*) from gone)
    + (select count(*) from written) as moved
