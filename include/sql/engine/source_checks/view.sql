-- The mapping of one file, as a view that nobody else sees and that is gone with the transaction.
create temporary view mapped :mapping
