-- Fixes the instant a run answers for, the zone its days are counted in, and when a referral counts, until the
-- transaction ends.
select
    set_config('timezone', :zone, true),
    set_config('lifecycle.as_of', :as_of, true),
    set_config('lifecycle.referral_refund_days', :referral_refund_days, true),
    set_config('lifecycle.referral_least_cents', :referral_least_cents, true)
