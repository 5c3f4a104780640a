-- name: is_empty
select not exists (select from crm.customers where tenant = %(tenant)s) as is_empty;

-- name: find_by_email
select id from crm.customers where tenant = %(tenant)s and lower(email) = lower(%(email)s)

-- name: find_by_name
select c.id
from crm.customers c
join crm.addresses a on a.tenant = c.tenant and a.customer_id = c.id
where c.tenant = %(tenant)s
  and lower(c.first_name) = lower(%(first_name)s)
  and lower(c.last_name) = lower(%(last_name)s)
  and a.postcode = %(postcode)s
limit 2

-- name: customer
select c.id, c.first_name, c.last_name, c.email,
    (select row_to_json(a) from (
        select address1, address2, city, state, country, postcode from crm.addresses
        where tenant = c.tenant and customer_id = c.id) a) as address,
    (select coalesce(json_agg(o order by o.position), '[]') from (
        select id, status, position, array(
            select name from crm.order_items i
            where i.tenant = orders.tenant and i.order_id = orders.id order by i.position) as names
        from crm.orders where tenant = c.tenant and customer_id = c.id) o) as orders
from crm.customers c
where c.tenant = %(tenant)s and c.id = %(customer_id)s

-- name: methods
select id, kind, brand, last_four, balance from crm.payment_methods
where tenant = %(tenant)s and customer_id = %(customer_id)s order by id

-- name: lock_methods
select id from crm.payment_methods
where tenant = %(tenant)s and customer_id = %(customer_id)s order by id for update

-- name: lock_order
-- A statement of its own: what is read after it sees everything that the last holder committed.
select id from crm.orders
where tenant = %(tenant)s and id = %(order_id)s and customer_id = %(customer_id)s for update

-- name: order
select o.id, o.status, o.cancel_reason, o.return_payment_method_id, o.exchange_payment_method_id,
    o.exchange_price_difference,
    (select row_to_json(a) from (
        select address1, address2, city, state, country, postcode from crm.addresses
        where tenant = o.tenant and order_id = o.id) a) as address,
    (select coalesce(json_agg(i order by i.position), '[]') from (
        select position, product_id, item_id, name, options, price::text as price,
            return_requested, exchange_item_id
        from crm.order_items where tenant = o.tenant and order_id = o.id) i) as lines,
    (select coalesce(json_agg(p order by p.position), '[]') from (
        select position, kind, amount::text as amount, payment_method_id as method_id
        from crm.payments where tenant = o.tenant and order_id = o.id) p) as payments,
    (select coalesce(json_agg(f order by f.position), '[]') from (
        select position, tracking_ids, item_ids
        from crm.fulfilments where tenant = o.tenant and order_id = o.id) f) as fulfilments
from crm.orders o
where o.tenant = %(tenant)s and o.id = %(order_id)s and o.customer_id = %(customer_id)s

-- name: product
select id, name, description from crm.products where tenant = %(tenant)s and id = %(product_id)s

-- name: products
select id, name, description from crm.products where tenant = %(tenant)s order by name, id

-- name: variants_of_product
select v.id, v.product_id, p.name, v.options, v.available, v.price
from crm.variants v join crm.products p on p.tenant = v.tenant and p.id = v.product_id
where v.tenant = %(tenant)s and v.product_id = %(product_id)s
order by v.price, v.id

-- name: variants
select v.id, v.product_id, p.name, v.options, v.available, v.price
from crm.variants v join crm.products p on p.tenant = v.tenant and p.id = v.product_id
where v.tenant = %(tenant)s and v.id = any(%(ids)s::text[])

-- name: lock_customer_address
select address1, address2, city, state, country, postcode from crm.addresses
where tenant = %(tenant)s and customer_id = %(customer_id)s for update

-- name: set_customer_address
update crm.addresses
set address1 = %(address1)s, address2 = %(address2)s, city = %(city)s, state = %(state)s,
    country = %(country)s, postcode = %(postcode)s
where tenant = %(tenant)s and customer_id = %(customer_id)s

-- name: set_order_address
update crm.addresses
set address1 = %(address1)s, address2 = %(address2)s, city = %(city)s, state = %(state)s,
    country = %(country)s, postcode = %(postcode)s
where tenant = %(tenant)s and order_id = %(order_id)s

-- name: set_cancelled
update crm.orders set status = 'cancelled', cancel_reason = %(reason)s
where tenant = %(tenant)s and id = %(order_id)s

-- name: set_status
update crm.orders set status = %(status)s where tenant = %(tenant)s and id = %(order_id)s

-- name: set_return
update crm.orders set status = 'return requested', return_payment_method_id = %(method_id)s
where tenant = %(tenant)s and id = %(order_id)s

-- name: set_return_lines
update crm.order_items set return_requested = true
where tenant = %(tenant)s and order_id = %(order_id)s and position = any(%(positions)s::int[])

-- name: set_exchange
update crm.orders
set status = 'exchange requested', exchange_payment_method_id = %(method_id)s,
    exchange_price_difference = %(difference)s
where tenant = %(tenant)s and id = %(order_id)s

-- name: set_exchange_line
update crm.order_items set exchange_item_id = %(item_id)s
where tenant = %(tenant)s and order_id = %(order_id)s and position = %(position)s

-- name: set_line
update crm.order_items
set product_id = %(product_id)s, item_id = %(item_id)s, name = %(name)s, options = %(options)s,
    price = %(price)s
where tenant = %(tenant)s and order_id = %(order_id)s and position = %(position)s

-- name: add_payment
insert into crm.payments (tenant, order_id, position, kind, amount, payment_method_id)
select %(tenant)s, %(order_id)s, count(*), %(kind)s, %(amount)s, %(method_id)s
from crm.payments where tenant = %(tenant)s and order_id = %(order_id)s

-- name: add_to_gift_card
update crm.payment_methods set balance = balance + %(amount)s
where tenant = %(tenant)s and customer_id = %(customer_id)s and id = %(method_id)s
  and balance is not null

-- name: open_ticket
insert into crm.tickets (tenant, kind, customer_id, thread_id, summary)
values (%(tenant)s, %(kind)s, %(customer_id)s, %(thread_id)s, %(summary)s)
returning number

-- name: upsert_conversation
insert into crm.conversations as c (
    tenant, external_id, version, customer_id, intent, outcome, summary
)
values (
    %(tenant)s, %(external_id)s, %(version)s,
    (select customer_id from crm.identities
     where tenant = %(tenant)s and thread_id = %(external_id)s),
    %(intent)s, %(outcome)s, %(summary)s
)
on conflict (tenant, external_id) do update
set version = excluded.version, customer_id = excluded.customer_id, intent = excluded.intent,
    outcome = excluded.outcome, summary = excluded.summary, updated_at = now()
where c.version <= excluded.version
