-- A list of tasks. Every workspace has one that cannot go away: its inbox, where tasks without a
-- project land.
create table project (
    id uuid constraint project_pkey primary key,
    workspace_id uuid not null
        constraint project_workspace_id_fkey references workspace (id) on delete cascade,
    name text not null constraint project_name_check check (length(name) between 1 and 200),
    description text not null default '' constraint project_description_check check (octet_length(description) <= 65536),
    colour text constraint project_colour_check check (colour ~ '^#[0-9a-f]{6}$'),
    inbox boolean not null default false,
    -- Sorts as text; see `task.position`.
    position text not null collate "C",
    version bigint not null default 1,
    seq bigint not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    archived_at timestamptz,
    deleted_at timestamptz,
    constraint project_inbox_check check (not inbox or (archived_at is null and deleted_at is null)),
    -- Lets a task name project and workspace together, so that they cannot disagree.
    constraint project_workspace_key unique (workspace_id, id)
);

create unique index project_inbox_key on project (workspace_id) where inbox;
