-- The thing people came for.
create table task (
    id uuid constraint task_pkey primary key,
    workspace_id uuid not null,
    project_id uuid not null,
    parent_id uuid,
    title text not null constraint task_title_check check (length(title) between 1 and 500),
    -- CommonMark, stored as it came.
    description text not null default '' constraint task_description_check check (octet_length(description) <= 65536),
    status text not null default 'todo'
        constraint task_status_check check (status in ('todo', 'in_progress', 'done', 'cancelled')),
    priority text not null default 'none'
        constraint task_priority_check check (priority in ('none', 'low', 'medium', 'high', 'urgent')),
    -- When it is due, in exactly one of three forms: a day; a wall-clock time wherever the person
    -- is; an instant with the zone it was meant in.
    due_date date,
    due_local timestamp,
    due_at timestamptz,
    due_time_zone text,
    start_date date,
    start_local timestamp,
    start_at timestamptz,
    start_time_zone text,
    labels text[] not null default '{}' constraint task_labels_check check (cardinality(labels) <= 50),
    -- A fraction written in base 36, compared byte by byte, so that there is always room between two.
    -- A new task takes `first_position` of the number of its change.
    position text not null collate "C",
    version bigint not null default 1,
    -- The newest row of `change` about this task.
    seq bigint not null,
    created_by uuid not null,
    completed_by uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    completed_at timestamptz,
    deleted_at timestamptz,
    constraint task_project_fkey foreign key (workspace_id, project_id)
        references project (workspace_id, id) on delete cascade,
    -- A subtask lives in its parent's project.
    constraint task_parent_fkey foreign key (workspace_id, project_id, parent_id)
        references task (workspace_id, project_id, id) on delete cascade,
    constraint task_project_key unique (workspace_id, project_id, id),
    constraint task_parent_check check (parent_id <> id),
    constraint task_due_check check (num_nonnulls(due_date, due_local, due_at) <= 1),
    constraint task_due_time_zone_check check ((due_at is null) = (due_time_zone is null)),
    constraint task_start_check check (num_nonnulls(start_date, start_local, start_at) <= 1),
    constraint task_start_time_zone_check check ((start_at is null) = (start_time_zone is null)),
    constraint task_completed_check check ((status = 'done') = (completed_at is not null))
);

-- One order for all three forms of a due time: a day and a wall-clock time count as UTC, and what is
-- never due comes last.
create function due_order(due_date date, due_local timestamp, due_at timestamptz) returns timestamp
language sql immutable parallel safe
return coalesce(due_local, due_date::timestamp, due_at at time zone 'UTC', 'infinity');

create function task_words(title text, description text) returns tsvector
language sql immutable parallel safe
return to_tsvector('simple', title) || to_tsvector('simple', description);

-- One for each order that a list is commonly read in; `id` makes each of them total.
create index task_created_idx on task (workspace_id, created_at, id) where deleted_at is null;
create index task_updated_idx on task (workspace_id, updated_at, id) where deleted_at is null;
create index task_due_idx on task (workspace_id, due_order(due_date, due_local, due_at), id) where deleted_at is null;
create index task_position_idx on task (workspace_id, position, id) where deleted_at is null;
create index task_project_idx on task (workspace_id, project_id, position, id) where deleted_at is null;
create index task_parent_idx on task (parent_id) where parent_id is not null;
create index task_labels_idx on task using gin (labels) where deleted_at is null;
create index task_words_idx on task using gin (task_words(title, description)) where deleted_at is null;
