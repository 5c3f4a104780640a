-- What decides about a thread's runs is one call each, so that the thread's row is held shortly.
alter table frontdesk.runs
    add column tenant text,
    add column cancelled_at timestamptz;        -- when it was told to stop
update frontdesk.runs r set tenant = t.tenant
from frontdesk.threads t where t.thread_id = r.thread_id;
alter table frontdesk.runs alter column tenant set not null;
create index runs_at_work on frontdesk.runs (tenant) where status = 'running';
-- Rows change several times in a run's life: room on the page keeps indexes out of it.
alter table frontdesk.runs set (fillfactor = 70);
alter table frontdesk.threads set (fillfactor = 70);

-- Which run answered a request's Idempotency-Key. Stays when the run goes, so that it is not done again.
create table frontdesk.idempotency (
    owner text,
    key text,
    digest text not null,                       -- of the request
    thread_id uuid not null,
    run_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (owner, key)
);
create index idempotency_by_age on frontdesk.idempotency (created_at);

-- What was done, by whom: written in the transaction that did it, and never changed.
create table frontdesk.audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    tenant text not null,
    actor text not null,                        -- identity of a key, or the part of us that did it
    thread_id text,
    run_id text,
    action text not null,
    detail jsonb
);
create index audit_of_thread on frontdesk.audit (thread_id, id);

create function frontdesk.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'frontdesk.audit is only added to';
end $$;
create trigger audit_stays before update or delete on frontdesk.audit
for each statement execute function frontdesk.refuse_change();

-- Claim the thread's oldest due run for a worker, or the one that has begun, unless one is running or the tenant has
-- `most` at work. No row when there is nothing to claim.
create function frontdesk.claim(
    the_thread uuid, the_worker text, lease float8, most int, fence_schema text
) returns setof frontdesk.runs language plpgsql as $$
declare
    the_tenant text;
    next uuid;
    raised bigint;
begin
    select t.tenant into the_tenant from frontdesk.threads t
    where t.thread_id = the_thread for no key update;
    select r.run_id into next from frontdesk.runs r
    where r.thread_id = the_thread and r.status = 'pending' and r.after <= now()
        and not exists (
            select 1 from frontdesk.runs x where x.thread_id = the_thread and x.status = 'running'
        )
    order by r.attempt > 0 desc, r.seq limit 1;  -- first what has begun: others build upon its end
    if next is null then
        return;
    end if;
    if most is not null then
        perform pg_advisory_xact_lock(7300419, hashtext(the_tenant));
        if most <= (
            select count(*) from frontdesk.runs r
            where r.tenant = the_tenant and r.status = 'running'
        ) then
            return;
        end if;
    end if;
    update frontdesk.threads t set epoch = nextval('frontdesk.epochs'), status = 'busy'
    where t.thread_id = the_thread returning t.epoch into raised;
    if fence_schema is not null then
        execute format('select %I.fence($1, $2)', fence_schema) using the_thread::text, raised;
    end if;
    return query update frontdesk.runs r
    set status = 'running', attempt = r.attempt + 1, epoch = raised, worker = the_worker,
        lease_until = clock_timestamp() + lease * interval '1 second',
        started_at = coalesce(r.started_at, now()), updated_at = now()
    where r.run_id = next
    returning r.*;
end $$;

-- Take a thread without active runs out of `busy`: it is as its last run left it.
create function frontdesk.rest(the_thread uuid) returns void language sql as $$
    update frontdesk.threads t
    set updated_at = now(), status = case
        when t.error->>'error' = 'UserInterrupt' then 'interrupted'
        when t.error->>'error' <> 'UserRollback' then 'error'
        when coalesce(t.interrupts::text, '{}') <> '{}' then 'interrupted'
        else 'idle'
    end
    where t.thread_id = the_thread and t.status = 'busy' and not exists (
        select 1 from frontdesk.runs r
        where r.thread_id = the_thread and r.status in ('pending', 'running')
    );
$$;

-- Tell a thread's runs (or one of them) to stop. One that has never begun is over, or gone, at
-- once; the others are ended by the worker that has them, or by the next to claim them.
-- Returns those it told, as they were.
create function frontdesk.stop(the_thread uuid, one uuid, action text, reason text)
returns setof frontdesk.runs language plpgsql as $$
declare
    old frontdesk.runs;
begin
    for old in
        select * from frontdesk.runs r
        where r.thread_id = the_thread and r.status in ('pending', 'running')
            and r.cancel is null and (one is null or r.run_id = one)
        order by r.seq
    loop
        if old.status = 'pending' and old.attempt = 0 and action = 'rollback' then
            delete from frontdesk.runs r where r.run_id = old.run_id;
        else
            update frontdesk.runs r
            set cancel = action, cancel_reason = reason, cancelled_at = now(), updated_at = now(),
                status = case when old.status = 'pending' and old.attempt = 0
                    then 'interrupted' else old.status end,
                ended_at = case when old.status = 'pending' and old.attempt = 0 then now() end
            where r.run_id = old.run_id;
        end if;
        return next old;
    end loop;
    perform frontdesk.rest(the_thread);
end $$;

-- Write a run down, and claim for `the_worker`, if one is given, what the thread has due.
-- Returns the runs that were told to stop, the new one, and the claimed one (which it may be);
-- for an Idempotency-Key seen before the run it made, or nothing when that one is gone.
create function frontdesk.ask(
    new_run uuid, the_thread uuid, the_tenant text, the_owner text,
    make_thread boolean, is_temporary boolean,
    the_assistant uuid, the_version int, the_graph text,
    strategy text, base_metadata jsonb, own_metadata jsonb, merged jsonb, asked json, delay float8,
    the_key text, the_digest text,
    the_worker text, lease float8, most int, fence_schema text
) returns setof frontdesk.runs language plpgsql as $$
declare
    known frontdesk.idempotency;
    thread frontdesk.threads;
    about jsonb := jsonb_build_object('graph_id', the_graph, 'assistant_id', the_assistant);
begin
    if the_key is not null then
        insert into frontdesk.idempotency as i (owner, key, digest, thread_id, run_id)
        values (the_owner, the_key, the_digest, the_thread, new_run)
        on conflict (owner, key) do update
        set digest = excluded.digest, thread_id = excluded.thread_id, run_id = excluded.run_id,
            created_at = now()
        where i.created_at < now() - interval '24 hours';
        if not found then
            select * into known from frontdesk.idempotency i
            where i.owner = the_owner and i.key = the_key;
            if known.digest <> the_digest then
                raise exception 'another request' using errcode = 'FD422';
            end if;
            return query select r.* from frontdesk.runs r where r.run_id = known.run_id;
            return;
        end if;
    end if;
    if not exists (
        select 1 from frontdesk.assistants a
        where a.assistant_id = the_assistant and a.version = the_version
    ) then
        raise exception 'the assistant has changed' using errcode = 'FD001';
    end if;
    if make_thread then
        insert into frontdesk.threads (thread_id, tenant, owner, temporary)
        values (the_thread, the_tenant, the_owner, is_temporary)
        on conflict (thread_id) do nothing
        returning * into thread;
    end if;
    if thread.thread_id is null then
        select * into thread from frontdesk.threads t
        where t.thread_id = the_thread and t.tenant = the_tenant for no key update;
        if not found then
            raise exception 'no such thread' using errcode = 'FD404';
        end if;
    end if;
    if strategy = 'reject' and exists (
        select 1 from frontdesk.runs r
        where r.thread_id = the_thread and r.status in ('pending', 'running')
    ) then
        raise exception 'busy' using errcode = 'FD409';
    end if;
    if strategy in ('interrupt', 'rollback') then
        return query select * from frontdesk.stop(
            the_thread, null, strategy, strategy || ' requested by a newer run on the thread'
        );
    end if;
    return query insert into frontdesk.runs as r (
        run_id, thread_id, tenant, assistant_id, graph_id, since, multitask_strategy, metadata,
        kwargs, after, created_at
    ) values (
        new_run, the_thread, the_tenant, the_assistant, the_graph, thread.epoch, strategy,
        base_metadata || thread.metadata || own_metadata || about, asked,
        now() + delay * interval '1 second', now() + delay * interval '1 second'
    ) returning r.*;
    update frontdesk.threads t
    set status = 'busy', updated_at = now(),
        metadata = t.metadata || about, config = t.config || merged
    where t.thread_id = the_thread;
    insert into frontdesk.audit (tenant, actor, thread_id, run_id, action)
    values (the_tenant, the_owner, the_thread, new_run, 'run.created');
    if the_worker is not null then
        return query
        select * from frontdesk.claim(the_thread, the_worker, lease, most, fence_schema);
    end if;
end $$;

-- End a run, settle its thread, and claim for `the_worker`, if one is given, what is due next.
-- No row: the claim is another's. The run still `running`: it was told to stop, so only an ending
-- as `interrupted` ends it. Else the run as it ended, then the claimed one.
create function frontdesk.finish(
    the_run uuid, the_thread uuid, at_epoch bigint, erased boolean, ended_as text, failure json,
    resting text, left_values json, left_interrupts json, left_error json,
    the_worker text, lease float8, most int, fence_schema text
) returns setof frontdesk.runs language plpgsql as $$
declare
    run frontdesk.runs;
begin
    perform 1 from frontdesk.threads t where t.thread_id = the_thread for no key update;
    select * into run from frontdesk.runs r
    where r.run_id = the_run and r.epoch = at_epoch and r.status = 'running';
    if not found then
        return;
    end if;
    if run.cancel is not null and ended_as <> 'interrupted' then
        return next run;
        return;
    end if;
    update frontdesk.runs r
    set status = ended_as, error = failure, worker = null, lease_until = null, ended_at = now(),
        updated_at = now()
    where r.run_id = the_run
    returning * into run;
    return next run;
    if erased then
        delete from frontdesk.runs r where r.run_id = the_run;
    end if;
    insert into frontdesk.audit (tenant, actor, thread_id, run_id, action, detail)
    values (run.tenant, 'engine', the_thread, the_run, 'run.ended', jsonb_build_object(
        'status', ended_as, 'attempt', run.attempt, 'cancel', run.cancel,
        'error', failure->>'error'
    ));
    update frontdesk.threads t
    set status = resting, values = left_values, interrupts = left_interrupts, error = left_error,
        updated_at = now(), state_updated_at = now()
    where t.thread_id = the_thread;
    if exists (
        select 1 from frontdesk.runs r
        where r.thread_id = the_thread and r.status in ('pending', 'running')
    ) then
        update frontdesk.threads t set status = 'busy' where t.thread_id = the_thread;
        if the_worker is not null then
            return query
            select * from frontdesk.claim(the_thread, the_worker, lease, most, fence_schema);
        end if;
    else
        delete from frontdesk.threads t where t.thread_id = the_thread and t.temporary;
    end if;
end $$;
