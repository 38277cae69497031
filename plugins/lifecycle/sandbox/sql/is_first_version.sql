-- Whether the file is of the first version: it has messages that cannot be held back.
select exists (
    select 1
    from sqlite_master
    where name = 'messages' and instr(sql, 'batch_id') = 0
) as is_first_version
