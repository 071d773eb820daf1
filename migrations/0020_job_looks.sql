-- Looks at jobs that cost the same however many there are. What the release before uses stays.
--
-- Each index is made within seconds, and meanwhile no job can be added or changed: all but those for what
-- is over cover few rows. On a table with very many millions of finished jobs, they can be made beforehand
-- with `create index concurrently`; this file then finds them.

-- What has just become due: however many entries of jobs that are done stand before it, while a long
-- transaction keeps them. Its condition is written in a form that the query repeats and that suits no index
-- on the state: on a table of few rows they all cost the same, and PostgreSQL keeps the plan that it makes
-- then.
-- squawk-ignore require-concurrent-index-creation
create index if not exists job_new_idx on job (queue, run_at, id)
    where (case state when 'ready' then true end);

-- The leader moves what has become due by priority, and counts by kind. In the place of
-- job_scheduled_idx, which only the release before uses.
-- squawk-ignore require-concurrent-index-creation
create index if not exists job_scheduled_kind_idx on job (queue, priority, kind, args_version, run_at)
    where state = 'scheduled';

-- squawk-ignore require-concurrent-index-creation
create index if not exists job_dead_kind_idx on job (queue, kind, args_version) where state = 'dead';

-- For the removal of what is old: without the rows that stay for ever, which would be read each time.
-- squawk-ignore require-concurrent-index-creation
create index if not exists job_removable_idx on job (finished_at)
    where state in ('done', 'cancelled') and (not unique_forever or unique_key like 'periodic:%');

-- For the jobs of a person who is erased.
-- squawk-ignore require-concurrent-index-creation
create index if not exists job_person_idx on job (unique_key)
    where state in ('done', 'dead', 'cancelled') and (user_id is not null or kind = 'password_reset_email');
