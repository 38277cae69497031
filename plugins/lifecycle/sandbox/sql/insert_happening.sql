-- Something that a message leads to.
insert into happenings (number, kind, name, url, payload, due_at)
values (:number, :kind, :name, :url, :payload, :due_at)
