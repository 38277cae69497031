-- Whether somebody has this code.
select lifecycle.is_referral_code(:code_key) as is_known
