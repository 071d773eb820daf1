-- no-transaction
-- A page of the list by due time is merged from the beginnings of its ranges. Made while others write;
-- on a million tasks it takes some seconds. If it is interrupted, the next `taskhub-api migrate` drops
-- what was left and makes it again.
-- The releases until now read `task_due_idx` in its stead, which also bounds filters by due time.
create index concurrently task_due_form_idx on task
    (workspace_id, due_form(due_date, due_local, due_at), due_order(due_date, due_local, due_at), id)
    where deleted_at is null;
