-- The zone whose midnights start the run days of a journey: a landing page names the same day as its message did.
alter table lifecycle.runs add column zone text not null default 'UTC';
