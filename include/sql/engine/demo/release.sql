-- The database is no longer the demo's: what it holds now was imported by its owner.
delete from lifecycle.demo_shop
