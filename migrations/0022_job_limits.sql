-- How often jobs of some kinds may begin, over all workers. The workers write their setting JOB_RATES
-- here; each claim of such a kind takes its tokens in the statement that takes the jobs.
create table job_limit (
    -- A kind of job, or a group of kinds such as `mail`.
    name text constraint job_limit_pkey primary key,
    kinds text[] not null,
    -- As it was set: so many jobs in a period.
    jobs integer not null constraint job_limit_jobs_check check (jobs > 0),
    period_seconds double precision not null constraint job_limit_period_check check (period_seconds > 0),
    -- What follows from it: how many may begin at once, and how fast that number grows back.
    burst double precision not null,
    per_second double precision not null,
    -- How many might have begun at that time.
    tokens double precision not null,
    counted_at timestamptz not null
) with (fillfactor = 50);

-- What operators hold back: no job of that queue or kind begins, in no worker.
create table job_pause (
    scope text not null constraint job_pause_scope_check check (scope in ('queue', 'kind')),
    name text not null,
    paused_at timestamptz not null default now(),
    -- The operator. Not a foreign key: the pause outlives the account.
    paused_by uuid,
    reason text,
    constraint job_pause_pkey primary key (scope, name)
);

-- How often somebody else, such as a mail server, asked for more time. Such an attempt is not counted.
alter table job add column deferrals integer not null default 0;
