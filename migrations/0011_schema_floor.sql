-- Which programs still fit this schema: those that know at least this migration. A migration that only
-- adds leaves it alone, so that the release before keeps running, and can be started, while the next one
-- rolls out and after a rollback. One that takes away what a program may use raises it.
create table schema_floor (
    version bigint not null,
    single boolean not null default true
        constraint schema_floor_pkey primary key
        constraint schema_floor_single_check check (single)
);

insert into schema_floor (version) values (11);
