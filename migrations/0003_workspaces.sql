-- Everything a group of people shares. Each person has one of their own from registration on, so
-- sharing later changes no table's meaning.
create table workspace (
    id uuid constraint workspace_pkey primary key,
    owner_id uuid not null
        constraint workspace_owner_id_fkey references user_account (id) on delete cascade,
    name text not null constraint workspace_name_check check (length(name) between 1 and 200),
    -- The number of the newest row in `change`. Its row lock is what puts commits in order, so it
    -- is taken last in every transaction.
    last_seq bigint not null default 0,
    created_at timestamptz not null default now()
);

-- One personal workspace for each person until members exist.
create unique index workspace_owner_id_key on workspace (owner_id);
