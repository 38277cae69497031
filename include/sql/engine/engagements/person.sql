-- What a page may know about the one person its message was for.
select
    people.customer_id,
    people.first_name,
    people.last_name,
    people.email,
    people.phone,
    people.country,
    people.city,
    people.locale,
    people.timezone,
    people.birthday
from lifecycle.person_of_message(cast(:message_id as uuid)) as people
