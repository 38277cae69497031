-- What the demo finds: the data set it loaded before, and whether anything else is in the database.
select
    (select demo_shop.fingerprint from lifecycle.demo_shop as demo_shop) as fingerprint,
    exists (select 1 from imported.customers) or exists (select 1 from lifecycle.runs) as has_data
