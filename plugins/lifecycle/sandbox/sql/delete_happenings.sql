-- Forgets everything that was to come.
delete from happenings
