-- A few made-up customers of a Northwind-like wholesaler, around the run day 31 March 2026 (Europe/London).
-- Names and numbers are nobody's.
insert into northwind.categories (category_id, category_name, description)
values
(1, 'Beverages', 'Soft drinks, coffees, teas'),
(2, 'Condiments', 'Sauces, relishes, spreads');

insert into northwind.suppliers (supplier_id, company_name, country)
values (1, 'Island Liquids', 'UK');

insert into northwind.products
(
    product_id, product_name, supplier_id, category_id, quantity_per_unit, unit_price, units_in_stock, units_on_order,
    reorder_level, discontinued
)
values
(1, 'Chai', 1, 1, '10 boxes x 20 bags', 18, 39, 0, 10, 0),
(2, 'Aniseed syrup', 1, 2, '12 - 550 ml bottles', 14.4, 0, 70, 25, 0),
(3, 'Gumbo mix', 1, 2, '36 boxes', 21.35, 12, 0, 0, 1);

insert into northwind.customers
(customer_id, company_name, contact_name, contact_title, city, country, phone)
values
('ANGUS', 'Angus Tearooms', 'Mairi Angus', 'Owner', 'London', 'UK', '(020) 7946-0101'),
('BRIDG', 'Bridge Cafe', 'Tom van den Berg', 'Buyer', 'Leeds', 'UK', '(0113) 496-0102'),
('CASTL', 'Castle Diner', 'Ruth Castle', 'Owner', 'Portland', 'USA', '(503) 555-0103'),
('DELIK', 'Delikatessen Nord', 'Jana', 'Buyer', 'Berlin', 'Germany', '030-0074321'),
-- A country whose numbers nobody has taught the mapping yet.
('ELMAR', 'El Mar', 'Rosa Mar', 'Owner', 'Caracas', 'Venezuela', '(2) 283-2951'),
('FJORD', 'Fjord Mat', null, null, 'Bergen', 'Norway', null),
-- Never ordered, so nobody knows from when on they were a customer.
('GHOST', 'Ghost Kitchen', 'Noah Grey', 'Owner', 'London', 'UK', '(020) 7946-0107');

insert into northwind.orders
(order_id, customer_id, employee_id, order_date, required_date, shipped_date, ship_via, freight)
values
-- ANGUS: silent for 30 days on 31 March; shipped two days after the order.
(10248, 'ANGUS', 5, '2025-11-03', '2025-12-01', '2025-11-05', 3, 32.38),
(10249, 'ANGUS', 5, '2026-03-01', '2026-03-29', '2026-03-03', 3, 11.61),
-- BRIDG: 60 days. CASTL: 90 days, never shipped.
(10250, 'BRIDG', 4, '2026-01-30', '2026-02-27', '2026-02-02', 2, 65.83),
(10251, 'CASTL', 4, '2025-12-31', '2026-01-28', null, 1, 41.34),
-- DELIK: came back on 30 March, the day before the run.
(10252, 'DELIK', 3, '2026-03-01', '2026-03-29', '2026-03-04', 2, 51.3),
(10253, 'DELIK', 3, '2026-03-30', '2026-04-27', null, 2, 58.17),
-- ELMAR: 29 days, so a day too early. FJORD: 31 days, so a day too late.
(10254, 'ELMAR', 3, '2026-03-02', '2026-03-30', '2026-03-09', 2, 22.98),
(10255, 'FJORD', 9, '2026-02-28', '2026-03-28', '2026-03-01', 3, 148.33),
-- Keyed in without a day: nobody can say when.
(10256, 'BRIDG', 9, null, null, null, 3, 0);

insert into northwind.order_details (order_id, product_id, unit_price, quantity, discount)
values
(10248, 1, 14.4, 12, 0),
(10249, 1, 18, 5, 0.05),
(10249, 2, 14.4, 3, 0.15),
(10250, 3, 21.35, 10, 0.1),
(10251, 1, 18, 1, 0),
(10252, 2, 14.4, 2, 0),
(10253, 2, 14.4, 4, 0.25),
(10254, 1, 18, 2, 0),
(10255, 3, 21.35, 3, 0);
