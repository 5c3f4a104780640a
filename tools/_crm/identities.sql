-- name: read
select customer_id, facts from crm.identities
where tenant = %(tenant)s and thread_id = %(thread_id)s

-- name: bind
-- Returns no row when the conversation belongs to somebody else; concurrent binds queue on the row.
insert into crm.identities as bound (tenant, thread_id, customer_id, facts)
values (%(tenant)s, %(thread_id)s, %(customer_id)s, %(facts)s::text[])
on conflict (tenant, thread_id) do update
set facts = array(select distinct unnest(bound.facts || excluded.facts) order by 1)
where bound.customer_id = excluded.customer_id
returning customer_id, facts
