-- Makes room for the rewards that a Dag file now declares.
delete from lifecycle.rewards as rewards
where rewards.programme = :programme
