-- Threads that expire: each so many minutes after the last change of its row.
alter table frontdesk.threads
    add column ttl_minutes float8,              -- null: it stays
    add column ttl_strategy text check (ttl_strategy in ('delete', 'keep_latest')),
    add column expires_at timestamptz;          -- null also after its old checkpoints have gone
create index threads_by_expiry on frontdesk.threads (expires_at) where expires_at is not null;

-- What new threads get that say nothing else: as the process that started last is configured.
create table frontdesk.thread_ttl (
    singleton bool primary key default true check (singleton),
    minutes float8,
    strategy text not null
);

create function frontdesk.begin_ttl() returns trigger language plpgsql as $$
begin
    select minutes, strategy into new.ttl_minutes, new.ttl_strategy from frontdesk.thread_ttl;
    return new;
end $$;
create trigger threads_begin before insert on frontdesk.threads
for each row when (new.ttl_minutes is null and not new.temporary)
execute function frontdesk.begin_ttl();

create function frontdesk.refresh_ttl() returns trigger language plpgsql as $$
begin
    new.expires_at := now() + new.ttl_minutes * interval '1 minute';
    return new;
end $$;
-- Triggers fire in the order of their names: a new thread has its minutes by now.
create trigger threads_expire before insert on frontdesk.threads
for each row when (new.ttl_minutes is not null) execute function frontdesk.refresh_ttl();
create trigger threads_refresh before update on frontdesk.threads
for each row when (
    new.ttl_minutes is not null and new.expires_at is not distinct from old.expires_at
) execute function frontdesk.refresh_ttl();
