-- Someone who signs in. `user` is a reserved word, hence the longer name.
--
-- A username is never given to a second person: access tokens name their bearer by it, so the row
-- stays when the account is erased and only its personal facts go.
create table user_account (
    id uuid constraint user_account_pkey primary key,
    username text not null
        constraint user_account_username_key unique
        constraint user_account_username_check check (username ~ '^[a-z0-9_.-]{3,50}$'),
    -- Never verified so far, therefore not unique: nobody may claim another's address first.
    email text constraint user_account_email_check check (length(email) between 3 and 254),
    -- Carries its algorithm and cost. Null once the account is erased.
    password_hash text,
    -- An IANA name; decides what "today" and "overdue" mean to this person.
    time_zone text not null default 'UTC',
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- Set when the person asks to be deleted; the account is erased some days later.
    deleted_at timestamptz,
    erased_at timestamptz,
    constraint user_account_erased_check check ((erased_at is null) = (password_hash is not null))
);
