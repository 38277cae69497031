-- Makes room for the tiers that a Dag file now declares.
delete from lifecycle.tier_levels as tier_levels
where tier_levels.programme = :programme
