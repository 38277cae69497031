-- Brings a file of the first version, which held nothing back and sent no events, up to date.
drop index if exists messages_by_message_id;
drop index if exists messages_by_provider_id;
alter table messages add column state text not null default 'sent';
alter table messages add column send_at real;
alter table messages add column batch_id text;
alter table messages add column accepted_at real not null default 0;
alter table messages add column sent_at real;
alter table messages add column status text;
