-- name: add
insert into frontdesk.analytics (
    run_id, thread_id, tenant, graph_id, status, started_at, ended_at,
    input_tokens, output_tokens, tokens, ms
)
values (
    %(run_id)s, %(thread_id)s, %(tenant)s, %(graph_id)s, %(status)s, %(started_at)s, %(ended_at)s,
    %(input_tokens)s, %(output_tokens)s, %(tokens)s::jsonb, %(ms)s::jsonb
)
on conflict do nothing
