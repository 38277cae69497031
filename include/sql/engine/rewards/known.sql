-- The rewards of a programme that SQL can read.
select
    rewards.reward,
    rewards.points,
    rewards.percent_off,
    rewards.product_id,
    rewards.charity
from lifecycle.rewards as rewards
where rewards.programme = :programme
order by rewards.reward
