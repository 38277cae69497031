-- Takes back the credit for friends whose order was refunded or cancelled, where it was not used.
select lifecycle.release_voucher(vouchers.voucher_id) as is_released
from shop.referrals as referrals
inner join lifecycle.vouchers as vouchers on vouchers.source = 'referral/' || referrals.friend_id
where
    referrals.status = 'reversed'
    and vouchers.released_at is null
    and vouchers.redeemed_at is null
