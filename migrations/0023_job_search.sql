-- no-transaction
-- Whoever answers a person's question looks for that person's jobs, among a million others. Built while
-- jobs come and go; where that was interrupted, `drop index job_user_idx` before it is tried again.
create index concurrently if not exists job_user_idx on job (user_id, id) where user_id is not null;
