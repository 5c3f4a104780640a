-- Who may give a run to a thread: its tenant; its owner alone; whom the thread's metadata names.
drop function frontdesk.ask(
    uuid, uuid, text, text, boolean, boolean, uuid, int, text, text, jsonb, jsonb, jsonb, json,
    float8, text, text, text, float8, int, text
);

-- Write a run down, and claim for `the_worker`, if one is given, what the thread has due.
-- Returns the runs that were told to stop, the new one, and the claimed one (which it may be);
-- for an Idempotency-Key seen before the run it made, or nothing when that one is gone.
create function frontdesk.ask(
    new_run uuid, the_thread uuid, the_tenant text, the_owner text, only_own boolean, seen jsonb,
    make_thread boolean, thread_metadata jsonb, is_temporary boolean,
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
        insert into frontdesk.threads (thread_id, tenant, owner, metadata, temporary)
        values (the_thread, the_tenant, the_owner, thread_metadata, is_temporary)
        on conflict (thread_id) do nothing
        returning * into thread;
    end if;
    if thread.thread_id is null then
        select * into thread from frontdesk.threads t
        where t.thread_id = the_thread and t.tenant = the_tenant
            and (not only_own or t.owner = the_owner) and t.metadata @> seen
        for no key update;
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
