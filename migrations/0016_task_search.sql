-- The words of a task, as search finds them. The programs make them (`taskhub::search`), so that no locale of
-- the database decides what is found. Before each word stands the end of its workspace's id, so that a search
-- reads nothing of what others wrote. Both are null where the words have yet to be made.
alter table task
    add column title_words tsvector,
    add column description_words tsvector,
    -- The change that the words were last made with.
    add column words_seq bigint;

-- Tasks that wait for their words: those that a program wrote which does not know the columns.
create table task_unindexed (
    workspace_id uuid not null,
    task_id uuid not null,
    constraint task_unindexed_pkey primary key (workspace_id, task_id)
);

-- How far the worker is with the tasks that were there before, in the order of their ids.
create table search_fill (
    -- The rules by which the words are made. Where the programs have newer ones, all tasks are done again.
    version smallint not null,
    last_id uuid,
    done boolean not null,
    single boolean not null default true
        constraint search_fill_pkey primary key
        constraint search_fill_single_check check (single)
);

-- The release before this one runs on for a while and writes titles and descriptions without words. The words that
-- are there would be those of the former text, so they go.
create function forget_words() returns trigger language plpgsql as $$
begin
    new.title_words := null;
    new.description_words := null;
    insert into task_unindexed values (new.workspace_id, new.id) on conflict do nothing;
    return new;
end
$$;

create trigger task_unindexed_insert before insert on task
    for each row when (new.title_words is null or new.description_words is null)
    execute function forget_words();
create trigger task_unindexed_update before update of title, description on task
    for each row when (
        (old.title, old.description) is distinct from (new.title, new.description)
        and old.words_seq is not distinct from new.words_seq
    )
    execute function forget_words();

-- The words repeat what title and description say, so the record of changes leaves them out.
create or replace function changed_fields(before jsonb, after jsonb) returns text[]
language sql immutable parallel safe
return (
    select coalesce(array_agg(key order by key), '{}')
    from jsonb_each(after) as new (key, value)
    where new.value is distinct from coalesce(before -> new.key, 'null')
      and new.key not in ('version', 'seq', 'updated_at', 'title_words', 'description_words', 'words_seq')
);

create function without_words(task jsonb) returns jsonb
language sql immutable parallel safe
return task - '{title_words,description_words,words_seq}'::text[];

-- What the programs make has `@` before each word, which no word contains.
create function words_in(workspace_id uuid, words text) returns tsvector
language sql immutable parallel safe
return replace(words, '@', right(workspace_id::text, 6))::tsvector;

create function query_in(workspace_id uuid, query text) returns tsquery
language sql immutable parallel safe
return replace(query, '@', right(workspace_id::text, 6))::tsquery;

insert into search_fill (version, done) select 1, not exists (select from task);

-- The first worker of this release begins at once.
insert into job (kind, args_version, args, priority, unique_key)
select 'index_tasks', 1, '{}', 200, 'index_tasks:' where exists (select from task);
