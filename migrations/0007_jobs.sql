-- Work for later, written in the transaction of what causes it. PostgreSQL owns every job; Redis
-- only says that there is something to do.
create table job (
    id bigint generated always as identity constraint job_pkey primary key,
    -- What the outside world sees, and for ever the idempotency key of the job's external effects.
    public_id uuid not null default gen_random_uuid() constraint job_public_id_key unique,
    kind text not null,
    args_version smallint not null,
    args jsonb not null,
    queue text not null default 'default',
    -- Lower is sooner.
    priority smallint not null default 100,
    -- For fair sharing; null where the job concerns no workspace.
    workspace_id uuid,
    -- At most one job of a key is ready or running, and of a key that is unique for ever at most one
    -- exists: its row stays, finished or not, and stands for every later wish for the same.
    unique_key text,
    unique_forever boolean not null default false,
    order_key text,
    state text not null default 'ready'
        constraint job_state_check check (state in ('ready', 'running', 'done', 'dead', 'cancelled')),
    run_at timestamptz not null default now(),
    -- How many attempts have begun, and how many of them ended with the worker's death.
    attempt integer not null default 0,
    max_attempts integer not null default 10,
    crashes integer not null default 0,
    -- A fresh secret for each claim: whoever cannot show it can no longer complete the job.
    lease_token uuid,
    lease_until timestamptz,
    worker_id text,
    progress jsonb,
    result jsonb,
    last_error text,
    -- W3C `traceparent` of the request that caused it.
    trace_context text,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint job_lease_check check ((state = 'running') = (lease_token is not null)),
    constraint job_lease_until_check check ((lease_token is null) = (lease_until is null)),
    constraint job_finished_check check ((finished_at is not null) = (state in ('done', 'dead', 'cancelled')))
) with (fillfactor = 80);

create index job_ready_idx on job (queue, priority, run_at, id) where state = 'ready';
create index job_lease_idx on job (lease_until) where state = 'running';
create index job_dead_idx on job (finished_at) where state = 'dead';
create unique index job_unique_key_key on job (unique_key) where state in ('ready', 'running') or unique_forever;

-- How each attempt ended.
create table job_log (
    id bigint generated always as identity constraint job_log_pkey primary key,
    job_id bigint not null constraint job_log_job_id_fkey references job (id) on delete cascade,
    attempt integer not null,
    outcome text not null
        constraint job_log_outcome_check
        check (outcome in ('succeeded', 'failed', 'lost', 'dead', 'cancelled', 'replayed')),
    worker_id text,
    error text,
    at timestamptz not null default now()
);

create index job_log_job_id_idx on job_log (job_id);

-- What runs by the clock. Moving a slot on and inserting its job are one transaction.
create table periodic (
    name text constraint periodic_pkey primary key,
    schedule text not null,
    time_zone text not null default 'UTC',
    next_at timestamptz not null
);

-- Who issues tickets and rescues lost jobs. For progress only: safety never rests on it.
create table leader (
    name text constraint leader_pkey primary key,
    holder text not null,
    term bigint not null default 1,
    lease_until timestamptz not null
);
