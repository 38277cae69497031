-- A Shopify-like shop as a loader copies it: the objects of the Admin API as tables, ids as numbers, money as decimal
-- text ("22.20"), what the API nests as JSON. Nothing here belongs to Lifecycle: these are the tables a company has.
create schema shopify;

create table shopify.customers (
    id bigint primary key,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    email text,
    phone text,
    first_name text,
    last_name text,
    locale text,
    tags text not null default '',
    -- {"state": "subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": "2025-05-04T10:00:00Z"}
    email_marketing_consent jsonb,
    sms_marketing_consent jsonb,
    -- {"city": "London", "country": "United Kingdom", "country_code": "GB", ...}
    default_address jsonb
);

create table shopify.orders (
    id bigint primary key,
    name text not null,
    customer_id bigint,
    email text,
    created_at timestamptz not null,
    processed_at timestamptz not null,
    updated_at timestamptz not null,
    cancelled_at timestamptz,
    cancel_reason text,
    currency text not null,
    subtotal_price text not null,
    total_tax text not null,
    total_price text not null,
    financial_status text not null,
    fulfillment_status text,
    source_name text not null default 'web',
    test boolean not null default false
);
create index on shopify.orders (created_at);
create index on shopify.orders (customer_id);

create table shopify.line_items (
    id bigint primary key,
    order_id bigint not null references shopify.orders,
    -- Its place in the order's list, from 1.
    position integer not null,
    product_id bigint,
    variant_id bigint,
    title text not null,
    sku text,
    quantity integer not null,
    price text not null,
    total_discount text not null default '0.00'
);
create index on shopify.line_items (order_id);

create table shopify.refunds (
    id bigint primary key,
    order_id bigint not null references shopify.orders,
    created_at timestamptz not null,
    processed_at timestamptz,
    note text
);

-- Money that moved, or did not: a refund may have none, one or several.
create table shopify.transactions (
    id bigint primary key,
    order_id bigint not null references shopify.orders,
    refund_id bigint references shopify.refunds,
    kind text not null,
    status text not null,
    amount text not null,
    currency text not null,
    created_at timestamptz not null
);
create index on shopify.transactions (refund_id);

create table shopify.fulfillments (
    id bigint primary key,
    order_id bigint not null references shopify.orders,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    status text not null,
    tracking_company text,
    tracking_number text
);
create index on shopify.fulfillments (order_id);

-- What the carrier reports about a parcel: happened_at is its clock, created_at when the shop was told.
create table shopify.fulfillment_events (
    id bigint primary key,
    fulfillment_id bigint not null references shopify.fulfillments,
    status text not null,
    happened_at timestamptz not null,
    created_at timestamptz not null
);
create index on shopify.fulfillment_events (fulfillment_id);

create table shopify.products (
    id bigint primary key,
    title text not null,
    vendor text,
    product_type text,
    handle text not null,
    status text not null,
    created_at timestamptz not null,
    published_at timestamptz,
    image_src text
);

create table shopify.variants (
    id bigint primary key,
    product_id bigint not null references shopify.products,
    sku text,
    price text not null,
    inventory_quantity integer,
    -- deny: not sold at 0; continue: sold anyway.
    inventory_policy text not null default 'deny'
);
create index on shopify.variants (product_id);

create table shopify.abandoned_checkouts (
    id bigint primary key,
    token text not null,
    customer_id bigint,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    completed_at timestamptz,
    currency text not null,
    total_price text not null,
    line_items jsonb not null,
    abandoned_checkout_url text not null
);
create index on shopify.abandoned_checkouts (updated_at);
