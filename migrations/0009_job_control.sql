-- What is for later stands apart from what is due, so that looking for due jobs, and for the
-- workspaces that have some, costs the same however much is for later. The leader moves what has
-- become due from `scheduled` to `ready`.
alter table job
    drop constraint job_state_check,
    add constraint job_state_check
        check (state in ('scheduled', 'ready', 'running', 'done', 'dead', 'cancelled')),
    -- Nothing ever needed jobs to run one after another: one that fails would stop all behind it.
    drop column order_key,
    -- Who may see it, beside the members of its workspace.
    add column user_id uuid,
    -- Its attempt is to end; the worker learns of it with its next heartbeat.
    add column cancel_requested boolean not null default false,
    -- Whose share of the workers it uses: one for each workspace, in an order of no meaning, and 0 for
    -- all jobs that concern none.
    add column share bigint not null
        generated always as (coalesce(uuid_hash_extended(workspace_id, 0), 0)) stored;

update job set state = 'scheduled' where state = 'ready' and run_at > now();

-- Every group of due jobs is one range: the groups are found by jumping from one to the next, and of
-- each only the beginning is read.
drop index job_ready_idx;
create index job_ready_idx on job (queue, priority, kind, args_version, share, run_at, id)
    where state = 'ready';
create index job_scheduled_idx on job (queue, run_at) where state = 'scheduled';

-- For whoever looks at them.
drop index job_dead_idx;
create index job_state_idx on job (state, id);
-- For the removal of what is old.
create index job_finished_idx on job (finished_at) where state in ('done', 'cancelled');

drop index job_unique_key_key;
create unique index job_unique_key_key on job (unique_key)
    where state in ('scheduled', 'ready', 'running') or unique_forever;

-- Each job is updated a few times in its life, and the old versions lie where the next look begins.
alter table job set (autovacuum_vacuum_scale_factor = 0.05);
