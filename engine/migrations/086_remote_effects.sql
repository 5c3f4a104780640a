-- An effect on a remote system cannot share our transaction: its row is committed as `begun` before
-- the remote is called. `unknown` waits for a colleague; nobody guesses.
alter table frontdesk.effects
    add column state text not null default 'done' check (state in ('begun', 'unknown', 'done')),
    add column attempt uuid,                    -- whose call of the remote may complete the row
    add column until timestamptz;               -- by then that call has ended, or its process sleeps
create index effects_not_done on frontdesk.effects (thread_id, tool, digest) where state <> 'done';
