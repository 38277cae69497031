-- A Northwind-like wholesale database: keys that are letters, days without an hour, prices as floating point, no e-mail
-- addresses and no consents. Nothing here belongs to Lifecycle: these are the tables a company has.
create schema northwind;

create table northwind.categories (
    category_id smallint primary key,
    category_name varchar(15) not null,
    description text
);

create table northwind.suppliers (
    supplier_id smallint primary key,
    company_name varchar(40) not null,
    country varchar(15)
);

create table northwind.products (
    product_id smallint primary key,
    product_name varchar(40) not null,
    supplier_id smallint references northwind.suppliers,
    category_id smallint references northwind.categories,
    quantity_per_unit varchar(20),
    unit_price real,
    units_in_stock smallint,
    units_on_order smallint,
    reorder_level smallint,
    discontinued integer not null
);

create table northwind.customers (
    customer_id char(5) primary key,
    company_name varchar(40) not null,
    contact_name varchar(30),
    contact_title varchar(30),
    address varchar(60),
    city varchar(15),
    region varchar(15),
    postal_code varchar(10),
    country varchar(15),
    phone varchar(24),
    fax varchar(24)
);

create table northwind.orders (
    order_id smallint primary key,
    customer_id char(5) references northwind.customers,
    employee_id smallint,
    order_date date,
    required_date date,
    shipped_date date,
    ship_via smallint,
    freight real,
    ship_name varchar(40),
    ship_city varchar(15),
    ship_country varchar(15)
);
create index on northwind.orders (order_date);
create index on northwind.orders (customer_id);

create table northwind.order_details (
    order_id smallint not null references northwind.orders,
    product_id smallint not null references northwind.products,
    unit_price real not null,
    quantity smallint not null,
    discount real not null,
    primary key (order_id, product_id)
);
