-- Gives a view of the company's mapping a column that joined the contract later, as null, where it has none.
select lifecycle.complete_view(:schema_name, :view_name, :column_name, :type_name)
