-- Issues one voucher for a message; a second try returns the first one's code.
insert into lifecycle.vouchers (code, message_id, customer_id, percent_off, valid_from, valid_until)
values (:code, :message_id, :customer_id, :percent_off, :valid_from, :valid_until)
on conflict (message_id) do update set message_id = excluded.message_id
returning code, percent_off, valid_until
