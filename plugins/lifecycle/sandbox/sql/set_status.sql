-- The provider's last word about a message.
update messages
set status = :status
where id = :number
