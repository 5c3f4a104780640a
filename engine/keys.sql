-- name: insert
insert into frontdesk.keys (
    key_id, digest, hint, name, tenant, kind, scopes, customer_id, expires_at
) values (
    %(key_id)s, %(digest)s, %(hint)s, %(name)s, %(tenant)s, %(kind)s, %(scopes)s,
    %(customer_id)s, now() + %(days)s * interval '1 day'
)
returning key_id, hint, name, tenant, kind, scopes, customer_id, created_at, expires_at, revoked_at;

-- name: list
select key_id, hint, name, tenant, kind, scopes, customer_id, created_at, expires_at, revoked_at
from frontdesk.keys order by created_at, key_id;

-- name: valid
select digest, key_id, hint, name, tenant, kind, scopes, customer_id, created_at, expires_at,
    revoked_at
from frontdesk.keys
where revoked_at is null and coalesce(expires_at > now(), true);

-- name: ever
select exists (select from frontdesk.keys) as made;

-- name: revoke
update frontdesk.keys set revoked_at = now()
where key_id = %(key_id)s and revoked_at is null
returning key_id, tenant;

-- name: audit
insert into frontdesk.audit (tenant, actor, action, detail)
values (%(tenant)s, 'operator', %(action)s, jsonb_build_object('key_id', %(key_id)s::uuid));
