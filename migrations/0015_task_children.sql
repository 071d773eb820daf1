-- no-transaction
-- Counts the subtasks of each task of a list without reading them. Made while others write; it holds subtasks alone,
-- so it is small where few tasks have any.
create index concurrently task_children_idx on task (parent_id) include (status)
    where parent_id is not null and deleted_at is null;
