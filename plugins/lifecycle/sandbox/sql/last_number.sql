-- The number of the message that was kept last in this transaction.
select last_insert_rowid() as number
