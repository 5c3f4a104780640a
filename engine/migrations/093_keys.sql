-- API keys, of which only the digest is kept: a secret of 256 random bits needs no salt.
create table frontdesk.keys (
    key_id uuid primary key,
    digest bytea not null unique,               -- SHA-256 of the secret
    hint text not null,                         -- how the secret begins
    name text not null,
    tenant text not null,
    kind text not null check (kind in ('trusted', 'public', 'user')),
    scopes text[],                              -- null: those of its kind
    customer_id text,                           -- of a `user`: for whom it speaks
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    check (kind = 'user' or customer_id is null)
);
