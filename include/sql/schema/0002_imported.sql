-- What `lifecycle import` loads: one table per file of the import contract.
-- Money is in hundredths (`*_cents`).
-- References between the tables are checked by the import, which can name the line;
-- here they would only cost time.

create table imported.customers (
    customer_id text primary key,
    signed_up_at timestamptz not null,
    email text,
    phone text,
    first_name text,
    last_name text,
    country text,
    city text,
    locale text,
    timezone text,
    birthday date,
    email_opt_in_at timestamptz,
    sms_opt_in_at timestamptz,
    referred_by text
);
create index customers_signed_up on imported.customers (signed_up_at);
-- Birthday journeys ask for a day of the year, whatever the year.
create index customers_birthday on imported.customers (
    extract(month from birthday),
    extract(day from birthday)
);
create index customers_referred_by on imported.customers (referred_by)
where referred_by is not null;

create table imported.products (
    product_id text primary key,
    name text not null,
    category text,
    line text,
    url text,
    image_url text,
    price_cents bigint,
    currency text,
    launched_at timestamptz,
    in_stock boolean
);

create table imported.orders (
    order_id text primary key,
    customer_id text not null,
    ordered_at timestamptz not null,
    total_cents bigint not null,
    currency text not null,
    cancelled_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz
);
-- A customer's last order, with the order number as tie-break.
create index orders_of_customer on imported.orders (customer_id, ordered_at desc, order_id desc);
create index orders_by_time on imported.orders (ordered_at);

create table imported.order_items (
    order_id text not null,
    line integer not null,
    product_id text not null,
    quantity integer not null,
    unit_price_cents bigint not null,
    primary key (order_id, line)
);
create index order_items_of_product on imported.order_items (product_id);

create table imported.refunds (
    refund_id text primary key,
    customer_id text not null,
    refunded_at timestamptz not null,
    amount_cents bigint not null,
    currency text not null,
    order_id text
);
create index refunds_of_customer on imported.refunds (customer_id, refunded_at);
create index refunds_by_time on imported.refunds (refunded_at);
create index refunds_of_order on imported.refunds (order_id) where order_id is not null;

create table imported.reviews (
    review_id text primary key,
    customer_id text not null,
    order_id text not null,
    rating integer not null,
    reviewed_at timestamptz not null,
    title text,
    body text
);
create index reviews_of_customer on imported.reviews (customer_id, reviewed_at);
create index reviews_by_time on imported.reviews (reviewed_at);
create index reviews_of_order on imported.reviews (order_id);

create table imported.page_views (
    page_view_id bigint generated always as identity primary key,
    viewed_at timestamptz not null,
    url text not null,
    customer_id text,
    visitor_id text,
    product_id text,
    utm_source text,
    utm_medium text,
    utm_campaign text,
    utm_term text
);
create index page_views_of_customer on imported.page_views (customer_id, viewed_at);
create index page_views_by_time on imported.page_views (viewed_at);

create table imported.carts (
    cart_id text primary key,
    customer_id text not null,
    updated_at timestamptz not null,
    items jsonb not null,
    checked_out_at timestamptz
);
create index carts_of_customer on imported.carts (customer_id, updated_at);
create index carts_by_time on imported.carts (updated_at);

create table imported.dependants (
    customer_id text not null,
    name text not null,
    birthday date not null,
    primary key (customer_id, name)
);
create index dependants_birthday on imported.dependants (
    extract(month from birthday),
    extract(day from birthday)
);

create table imported.events (
    event_id text primary key,
    customer_id text not null,
    name text not null,
    occurred_at timestamptz not null,
    properties jsonb
);
create index events_of_customer on imported.events (customer_id, name, occurred_at);
create index events_by_time on imported.events (name, occurred_at);
