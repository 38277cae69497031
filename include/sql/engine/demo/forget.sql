-- Forgets everything the journeys did with the data set that is replaced.
truncate
lifecycle.runs,
lifecycle.audiences,
lifecycle.enrollments,
lifecycle.messages,
lifecycle.attempts,
lifecycle.held_attempts,
lifecycle.holds,
lifecycle.conversions,
lifecycle.consents,
lifecycle.suppressions,
lifecycle.links,
lifecycle.engagements,
lifecycle.vouchers,
lifecycle.voucher_codes,
lifecycle.referral_codes,
lifecycle.referral_claims,
lifecycle.referral_cash,
lifecycle.free_shipping
restart identity
