-- The one ordered record of what happened in a workspace. Synchronisation, live streams, webhooks,
-- history, undo and audit all read it; every mutation writes it in its own transaction.
create table change (
    workspace_id uuid not null
        constraint change_workspace_id_fkey references workspace (id) on delete cascade,
    -- Without gaps, and in commit order: the number comes from `workspace.last_seq` under its row lock.
    seq bigint not null,
    entity text not null constraint change_entity_check check (entity in ('workspace', 'project', 'task')),
    entity_id uuid not null,
    -- The entity's version after the change.
    version bigint not null,
    op text not null
        constraint change_op_check check (op in ('created', 'updated', 'deleted', 'restored')),
    -- The names of the columns that differ between `before` and `after`.
    fields text[] not null,
    before jsonb,
    after jsonb not null,
    -- Kept by value: a change outlives the account that made it.
    actor uuid,
    request_id text,
    at timestamptz not null default now(),
    constraint change_pkey primary key (workspace_id, seq)
);

create index change_entity_idx on change (entity_id, seq);

-- The columns that differ between two rows, in the order of their names. What every change of the
-- row moves says nothing, so it is left out. Before its creation a row was null throughout.
create function changed_fields(before jsonb, after jsonb) returns text[]
language sql immutable parallel safe
return (
    select coalesce(array_agg(key order by key), '{}')
    from jsonb_each(after) as new (key, value)
    where new.value is distinct from coalesce(before -> new.key, 'null')
      and new.key not in ('version', 'seq', 'updated_at')
);

-- Where a new thing stands among its like: after everything older, without a look-up. The number of
-- its change in base 36, zero-padded to eight digits so that it sorts as text, and a middle digit so
-- that there is room on both sides.
create function first_position(seq bigint) returns text
language sql immutable parallel safe
return (
    select string_agg(substr('0123456789abcdefghijklmnopqrstuvwxyz', (seq / (36 ^ digit)::bigint % 36)::integer + 1, 1), '' order by digit desc) || 'i'
    from generate_series(0, 7) as digits (digit)
);
