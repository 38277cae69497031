-- Keeps the rewards of a programme for those who read them with SQL.
insert into lifecycle.rewards (programme, reward, points, percent_off, product_id, charity)
select
    :programme as programme,
    declared.reward,
    declared.points,
    declared.percent_off,
    declared.product_id,
    declared.charity
from
    unnest(
        cast(:rewards as text[]),
        cast(:points as bigint[]),
        cast(:percents_off as integer[]),
        cast(:product_ids as text[]),
        cast(:charities as text[])
    ) as declared (reward, points, percent_off, product_id, charity)
