-- What SendGrid has told about one message so far.
select
    payload
from happenings
where number = :number and kind = 'sendgrid' and (state <> 'pending' or attempts > 0)
order by due_at, id
