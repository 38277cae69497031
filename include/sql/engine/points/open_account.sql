-- Opens an account unless there is one.
insert into lifecycle.points_accounts (customer_id)
values (:customer_id)
on conflict (customer_id) do nothing
