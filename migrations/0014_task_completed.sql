-- no-transaction
-- The order of completion, for lists of what was done on a day or most recently; what is not done comes last. Made
-- while others write; on a million tasks it takes some seconds.
create index concurrently task_completed_idx on task (workspace_id, completed_at, id) where deleted_at is null;
