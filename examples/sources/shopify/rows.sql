-- A made-up week in the life of a Shopify-like shop: ten people, around the run day 31 March 2026 (Europe/London).
-- Names, numbers and addresses are nobody's.
insert into shopify.customers
(
    id, created_at, updated_at, email, phone, first_name, last_name, locale,
    email_marketing_consent, sms_marketing_consent, default_address
)
values
(
    7001, '2025-05-04T10:00:00Z', '2026-03-01T12:00:00Z', 'aiko@example.com', '+44 7700 900101', ' Aiko ', 'Sato', 'en',
    '{"state": "subscribed", "consent_updated_at": "2025-05-04T10:00:00Z"}',
    '{"state": "subscribed", "consent_updated_at": "2025-05-04T10:00:00Z"}',
    '{"city": "London", "country": "United Kingdom", "country_code": "GB"}'
),
(
    7002, '2025-06-11T08:30:00Z', '2026-03-02T12:00:00Z', 'ben@example.com', '+447700900102', 'Ben', '', 'en',
    '{"state": "unsubscribed", "consent_updated_at": "2026-01-10T10:00:00Z"}',
    '{"state": "unsubscribed", "consent_updated_at": "2026-01-10T10:00:00Z"}',
    '{"city": "Leeds", "country": "United Kingdom", "country_code": "GB"}'
),
(
    7003, '2025-07-19T19:00:00Z', '2026-02-01T12:00:00Z', 'cleo@example.com', '+447700900103', 'Cleo', 'Marsh', 'en',
    '{"state": "subscribed", "consent_updated_at": null}',
    '{"state": "subscribed", "consent_updated_at": null}',
    null
),
(
    7004, '2025-08-23T09:00:00Z', '2026-01-02T12:00:00Z', null, '+447700900104', 'Dan', 'Okoro', 'en',
    null, '{"state": "subscribed", "consent_updated_at": "2025-08-23T09:00:00Z"}', null
),
(
    7005, '2025-09-01T09:00:00Z', '2026-03-20T12:00:00Z', 'eve@example.com', '+447700900105', 'Eve', 'Lind', 'en',
    null, '{"state": "subscribed", "consent_updated_at": "2025-09-01T09:00:00Z"}', null
),
(
    7006, '2025-09-02T09:00:00Z', '2026-03-01T23:00:00Z', 'finn@example.com', '0161 496 0000', 'Finn', 'Ray', 'en',
    null, '{"state": "subscribed", "consent_updated_at": "2025-09-02T09:00:00Z"}', null
),
(
    7007, '2025-10-02T09:00:00Z', '2026-03-01T09:30:00Z', 'gus@example.com', '+447700900107', 'Gus', 'Hall', 'en',
    null, '{"state": "pending", "consent_updated_at": "2025-10-02T09:00:00Z"}', null
),
(
    7008, '2025-10-03T09:00:00Z', '2026-03-01T18:00:00Z', 'hana@example.com', '+447700900108', 'Hana', 'Ito', 'ja',
    null, '{"state": "subscribed", "consent_updated_at": "2025-10-03T09:00:00Z"}', null
),
-- Never ordered.
(
    7009, '2026-03-01T09:00:00Z', '2026-03-01T09:00:00Z', 'ida@example.com', null, 'Ida', 'Berg', 'en', null, null, null
),
-- Bought at the till only, in a test of the payment.
(
    7010, '2025-11-03T09:00:00Z', '2026-03-01T10:00:00Z', 'jon@example.com', '+447700900110', 'Jon', 'Test', 'en',
    null, '{"state": "subscribed", "consent_updated_at": "2025-11-03T09:00:00Z"}', null
);

insert into shopify.orders
(
    id, name, customer_id, email, created_at, processed_at, updated_at, cancelled_at, cancel_reason,
    currency, subtotal_price, total_tax, total_price, financial_status, fulfillment_status, source_name, test
)
values
-- Aiko: silent for 30 days on 31 March.
(
    9001, '#1001', 7001, 'aiko@example.com', '2025-12-20T11:00:00Z', '2025-12-20T11:00:00Z', '2025-12-28T11:00:00Z',
    null, null, 'GBP', '19.90', '3.98', '23.88', 'paid', 'fulfilled', 'web', false
),
(
    9002, '#1002', 7001, 'aiko@example.com', '2026-03-01T12:00:00Z', '2026-03-01T12:00:00Z', '2026-03-05T11:00:00Z',
    null, null, 'GBP', '18.50', '3.70', '22.20', 'partially_refunded', 'fulfilled', 'web', false
),
-- Ben: the same day, and he took his consent back in January.
(
    9003, '#1003', 7002, 'ben@example.com', '2026-03-01T00:00:00Z', '2026-03-01T00:00:00Z', '2026-03-02T12:00:00Z',
    null, null, 'GBP', '10.00', '2.00', '12.00', 'paid', null, 'web', false
),
-- Cleo: 60 days. Dan: 90 days.
(
    9004, '#1004', 7003, 'cleo@example.com', '2026-01-30T21:15:00Z', '2026-01-30T21:15:00Z', '2026-02-01T12:00:00Z',
    null, null, 'GBP', '30.00', '6.00', '36.00', 'paid', 'fulfilled', 'web', false
),
(
    9005, '#1005', 7004, null, '2025-12-31T23:59:59Z', '2025-12-31T23:59:59Z', '2026-01-02T12:00:00Z',
    null, null, 'GBP', '8.33', '1.67', '10.00', 'paid', 'fulfilled', 'pos', false
),
-- Eve: came back on 20 March.
(
    9006, '#1006', 7005, 'eve@example.com', '2026-03-01T08:00:00Z', '2026-03-01T08:00:00Z', '2026-03-01T08:00:00Z',
    null, null, 'GBP', '10.00', '2.00', '12.00', 'paid', null, 'web', false
),
(
    9007, '#1007', 7005, 'eve@example.com', '2026-03-20T12:00:00Z', '2026-03-20T12:00:00Z', '2026-03-20T12:00:00Z',
    null, null, 'JPY', '1200', '0', '1200', 'paid', null, 'web', false
),
-- Finn: 30 days, and his number is a national one. Gus: 30 days, and he never confirmed his SMS consent.
(
    9008, '#1008', 7006, 'finn@example.com', '2026-03-01T23:00:00Z', '2026-03-01T23:00:00Z', '2026-03-01T23:00:00Z',
    null, null, 'GBP', '10.00', '2.00', '12.00', 'paid', null, 'web', false
),
(
    9009, '#1009', 7007, 'gus@example.com', '2026-03-01T09:30:00Z', '2026-03-01T09:30:00Z', '2026-03-01T09:30:00Z',
    null, null, 'GBP', '10.00', '2.00', '12.00', 'paid', null, 'web', false
),
-- Hana: ordered offline at the fair on 27 February; the till told the shop on 1 March.
(
    9010, '#1010', 7008, 'hana@example.com', '2026-03-01T18:00:00Z', '2026-02-27T15:00:00Z', '2026-03-01T18:00:00Z',
    null, null, 'GBP', '10.00', '2.00', '12.00', 'paid', 'fulfilled', 'pos', false
),
-- Jon: a test of the payment is no order.
(
    9011, '#1011', 7010, 'jon@example.com', '2026-03-01T10:00:00Z', '2026-03-01T10:00:00Z', '2026-03-01T10:00:00Z',
    null, null, 'GBP', '1.00', '0.00', '1.00', 'paid', null, 'web', true
),
-- A guest at the till: nobody to write to.
(
    9012, '#1012', null, null, '2026-03-01T10:00:00Z', '2026-03-01T10:00:00Z', '2026-03-01T10:00:00Z',
    null, null, 'GBP', '5.00', '1.00', '6.00', 'paid', null, 'pos', false
),
-- Cleo cancelled her first order.
(
    9013, '#1013', 7003, 'cleo@example.com', '2025-07-19T19:05:00Z', '2025-07-19T19:05:00Z', '2025-07-20T08:00:00Z',
    '2025-07-20T08:00:00Z', 'customer', 'GBP', '15.00', '3.00', '18.00', 'voided', null, 'web', false
);

insert into shopify.line_items (
    id, order_id, position, product_id, variant_id, title, sku, quantity, price, total_discount
)
values
(9101, 9001, 1, 5001, 5101, 'Green tea', 'TEA-100', 2, '9.95', '0.00'),
(9102, 9002, 1, 5001, 5101, 'Green tea', 'TEA-100', 1, '9.95', '0.00'),
(9103, 9002, 2, 5002, 5103, 'Cup', 'CUP-1', 3, '3.00', '0.45'),
(9104, 9004, 1, 5002, 5103, 'Cup', 'CUP-1', 10, '3.00', '0.00'),
-- A gift card that was sold by hand: no product.
(9105, 9005, 1, null, null, 'Gift card', null, 1, '8.33', '0.00');

insert into shopify.refunds (id, order_id, created_at, processed_at, note)
values
(9201, 9002, '2026-03-05T11:00:00Z', '2026-03-05T11:00:00Z', 'One cup broken'),
-- Nothing was paid back: the order was restocked only.
(9202, 9013, '2025-07-20T08:00:00Z', '2025-07-20T08:00:00Z', null);

insert into shopify.transactions (id, order_id, refund_id, kind, status, amount, currency, created_at)
values
(9301, 9002, null, 'sale', 'success', '22.20', 'GBP', '2026-03-01T12:00:00Z'),
(9302, 9002, 9201, 'refund', 'failure', '2.85', 'GBP', '2026-03-05T11:00:00Z'),
(9303, 9002, 9201, 'refund', 'success', '2.00', 'GBP', '2026-03-05T11:00:05Z'),
(9304, 9002, 9201, 'refund', 'success', '0.85', 'GBP', '2026-03-05T11:00:06Z');

insert into shopify.fulfillments (id, order_id, created_at, updated_at, status)
values
(9401, 9001, '2025-12-21T09:00:00Z', '2025-12-23T15:00:00Z', 'success'),
-- Two parcels; the second was still on its way on 4 March.
(9402, 9002, '2026-03-02T09:00:00Z', '2026-03-04T10:00:00Z', 'success'),
(9403, 9002, '2026-03-03T09:00:00Z', '2026-03-06T10:00:00Z', 'success'),
(9404, 9004, '2026-01-31T09:00:00Z', '2026-01-31T09:00:00Z', 'cancelled'),
(9405, 9004, '2026-02-01T12:00:00Z', '2026-02-01T12:00:00Z', 'success');

insert into shopify.fulfillment_events (id, fulfillment_id, status, happened_at, created_at)
values
(9501, 9401, 'in_transit', '2025-12-21T18:00:00Z', '2025-12-21T18:05:00Z'),
(9502, 9401, 'delivered', '2025-12-23T14:00:00Z', '2025-12-23T15:00:00Z'),
(9503, 9402, 'delivered', '2026-03-04T09:00:00Z', '2026-03-04T10:00:00Z'),
(9504, 9403, 'delivered', '2026-03-06T09:00:00Z', '2026-03-06T10:00:00Z');

insert into shopify.products (id, title, vendor, product_type, handle, status, created_at, published_at, image_src)
values
(
    5001, 'Green tea', 'Uji & Sons', 'Tea', 'green-tea', 'active', '2025-01-01T09:00:00Z', '2025-01-05T09:00:00Z',
    'https://cdn.example.com/green-tea.jpg'
),
(5002, 'Cup', 'Uji & Sons', 'Ware', 'cup', 'active', '2025-01-02T09:00:00Z', '2025-01-05T09:00:00Z', null),
-- Not for sale yet.
(5003, 'Secret blend', 'Uji & Sons', 'Tea', 'secret-blend', 'draft', '2026-03-01T09:00:00Z', null, null);

insert into shopify.variants (id, product_id, sku, price, inventory_quantity, inventory_policy)
values
(5101, 5001, 'TEA-100', '9.95', 40, 'deny'),
(5102, 5001, 'TEA-500', '39.00', 0, 'deny'),
(5103, 5002, 'CUP-1', '3.00', 0, 'deny'),
(5104, 5003, 'TEA-X', '19.00', 5, 'deny');

insert into shopify.abandoned_checkouts
(
    id,
    token,
    customer_id,
    created_at,
    updated_at,
    completed_at,
    currency,
    total_price,
    line_items,
    abandoned_checkout_url
)
values
(
    9601, 'a1', 7009, '2026-03-01T09:05:00Z', '2026-03-01T09:20:00Z', null, 'GBP', '9.95',
    '[{"product_id": 5001, "variant_id": 5101, "title": "Green tea", "quantity": 1, "price": "9.95"}]',
    'https://shop.example.com/checkouts/a1/recover'
),
-- Nobody typed an address: nobody to write to.
(
    9602, 'a2', null, '2026-03-02T09:05:00Z', '2026-03-02T09:20:00Z', null, 'GBP', '3.00', '[]',
    'https://shop.example.com/checkouts/a2/recover'
);
