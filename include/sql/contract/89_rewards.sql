-- What points buy, as it is declared today.
create or replace view shop.rewards as
select
    rewards.reward,
    rewards.points,
    rewards.percent_off,
    rewards.product_id,
    rewards.charity
from lifecycle.rewards as rewards
