-- Keeps a link that a page shows.
select lifecycle.keep_link(:code, cast(:message_id as uuid), :name, :target_url)
