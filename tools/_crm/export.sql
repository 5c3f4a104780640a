-- name: products
select id, jsonb_strip_nulls(jsonb_build_object(
    'product_id', id, 'name', name, 'description', description,
    'variants', coalesce((
        select jsonb_object_agg(v.id, jsonb_build_object(
            'item_id', v.id, 'options', v.options, 'available', v.available,
            'price', v.price::text))
        from crm.variants v where v.tenant = p.tenant and v.product_id = p.id), '{}')
)) as state
from crm.products p where tenant = %(tenant)s and %(customers)s::text[] is null

-- name: users
select id, jsonb_strip_nulls(jsonb_build_object(
    'user_id', id, 'name', jsonb_build_object('first_name', first_name, 'last_name', last_name),
    'email', email,
    'address', (
        select jsonb_build_object('address1', address1, 'address2', address2, 'city', city,
            'state', state, 'country', country, 'zip', postcode)
        from crm.addresses a where a.tenant = c.tenant and a.customer_id = c.id),
    'payment_methods', coalesce((
        select jsonb_object_agg(m.id, jsonb_build_object('id', m.id, 'source', m.kind,
            'brand', m.brand, 'last_four', m.last_four, 'balance', m.balance::text))
        from crm.payment_methods m where m.tenant = c.tenant and m.customer_id = c.id), '{}'),
    'orders', coalesce((
        select jsonb_agg(o.id order by o.position)
        from crm.orders o where o.tenant = c.tenant and o.customer_id = c.id), '[]')
)) as state
from crm.customers c
where tenant = %(tenant)s and id = any(coalesce(
    %(customers)s::text[], array(select id from crm.customers where tenant = %(tenant)s)))

-- name: orders
select id, jsonb_strip_nulls(jsonb_build_object(
    'order_id', id, 'user_id', customer_id, 'status', status, 'cancel_reason', cancel_reason,
    'address', (
        select jsonb_build_object('address1', address1, 'address2', address2, 'city', city,
            'state', state, 'country', country, 'zip', postcode)
        from crm.addresses a where a.tenant = o.tenant and a.order_id = o.id),
    'items', coalesce((
        select jsonb_agg(jsonb_build_object('name', i.name, 'product_id', i.product_id,
            'item_id', i.item_id, 'price', i.price::text, 'options', i.options)
            order by i.position)
        from crm.order_items i where i.tenant = o.tenant and i.order_id = o.id), '[]'),
    'fulfillments', coalesce((
        select jsonb_agg(jsonb_build_object(
            'tracking_id', f.tracking_ids, 'item_ids', f.item_ids) order by f.position)
        from crm.fulfilments f where f.tenant = o.tenant and f.order_id = o.id), '[]'),
    'payment_history', coalesce((
        select jsonb_agg(jsonb_build_object('transaction_type', p.kind, 'amount', p.amount::text,
            'payment_method_id', p.payment_method_id) order by p.position)
        from crm.payments p where p.tenant = o.tenant and p.order_id = o.id), '[]'),
    'return_items', (
        select jsonb_agg(i.item_id order by i.item_id) from crm.order_items i
        where i.tenant = o.tenant and i.order_id = o.id and i.return_requested),
    'return_payment_method_id', return_payment_method_id,
    'exchange_items', (
        select jsonb_agg(i.item_id order by i.item_id) from crm.order_items i
        where i.tenant = o.tenant and i.order_id = o.id and i.exchange_item_id is not null),
    'exchange_new_items', (
        select jsonb_agg(i.exchange_item_id order by i.exchange_item_id) from crm.order_items i
        where i.tenant = o.tenant and i.order_id = o.id and i.exchange_item_id is not null),
    'exchange_payment_method_id', exchange_payment_method_id,
    'exchange_price_difference', exchange_price_difference::text
)) as state
from crm.orders o
where tenant = %(tenant)s and customer_id = any(coalesce(
    %(customers)s::text[], array(select id from crm.customers where tenant = %(tenant)s)))
