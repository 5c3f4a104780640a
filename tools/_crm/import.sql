-- name: product
insert into crm.products (tenant, id, name, description)
values (%(tenant)s, %(product_id)s, %(name)s, %(description)s)
on conflict (tenant, id) do update set name = excluded.name, description = excluded.description

-- name: variant
insert into crm.variants (tenant, id, product_id, options, available, price)
values (%(tenant)s, %(item_id)s, %(product_id)s, %(options)s, %(available)s, %(price)s)
on conflict (tenant, id) do update
set product_id = excluded.product_id, options = excluded.options, available = excluded.available,
    price = excluded.price

-- name: customer
insert into crm.customers (tenant, id, first_name, last_name, email)
values (%(tenant)s, %(id)s, %(first_name)s, %(last_name)s, %(email)s)
on conflict (tenant, id) do update
set first_name = excluded.first_name, last_name = excluded.last_name, email = excluded.email

-- name: method
insert into crm.payment_methods (tenant, customer_id, id, kind, brand, last_four, balance)
values (%(tenant)s, %(customer_id)s, %(id)s, %(source)s, %(brand)s, %(last_four)s, %(balance)s)
on conflict (tenant, customer_id, id) do update
set kind = excluded.kind, brand = excluded.brand, last_four = excluded.last_four,
    balance = excluded.balance

-- name: customer_address
insert into crm.addresses
    (tenant, customer_id, address1, address2, city, state, country, postcode)
values (%(tenant)s, %(owner)s, %(address1)s, %(address2)s, %(city)s, %(state)s, %(country)s, %(zip)s)
on conflict (tenant, customer_id) do update
set address1 = excluded.address1, address2 = excluded.address2, city = excluded.city,
    state = excluded.state, country = excluded.country, postcode = excluded.postcode

-- name: forget_order
-- With its lines, payments, shipments and address: what follows writes them anew.
delete from crm.orders where tenant = %(tenant)s and id = %(order_id)s

-- name: order
insert into crm.orders
    (tenant, id, customer_id, position, status, cancel_reason, return_payment_method_id,
     exchange_payment_method_id, exchange_price_difference)
values
    (%(tenant)s, %(order_id)s, %(user_id)s, %(position)s, %(status)s, %(cancel_reason)s,
     %(return_payment_method_id)s, %(exchange_payment_method_id)s, %(exchange_price_difference)s)

-- name: order_address
insert into crm.addresses (tenant, order_id, address1, address2, city, state, country, postcode)
values (%(tenant)s, %(owner)s, %(address1)s, %(address2)s, %(city)s, %(state)s, %(country)s, %(zip)s)

-- name: item
insert into crm.order_items
    (tenant, order_id, position, product_id, item_id, name, options, price, return_requested,
     exchange_item_id)
values
    (%(tenant)s, %(order_id)s, %(position)s, %(product_id)s, %(item_id)s, %(name)s, %(options)s,
     %(price)s, %(return_requested)s, %(exchange_item_id)s)

-- name: fulfilment
insert into crm.fulfilments (tenant, order_id, position, tracking_ids, item_ids)
values (%(tenant)s, %(order_id)s, %(position)s, %(tracking_id)s, %(item_ids)s)

-- name: payment
insert into crm.payments (tenant, order_id, position, kind, amount, payment_method_id)
values
    (%(tenant)s, %(order_id)s, %(position)s, %(transaction_type)s, %(amount)s,
     %(payment_method_id)s)
