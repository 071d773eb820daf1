-- Codes that let someone choose a new password, sent to the address of their account.
create table password_reset (
    -- SHA-256 of the code; the code itself stands in the e-mail alone.
    hash bytea
        constraint password_reset_pkey primary key
        constraint password_reset_hash_check check (length(hash) = 32),
    user_id uuid not null
        constraint password_reset_user_id_fkey references user_account (id) on delete cascade,
    expires_at timestamptz not null
);

create index password_reset_user_id_idx on password_reset (user_id);
create index password_reset_expires_at_idx on password_reset (expires_at);

-- Whoever forgot their password names an address, in whatever case.
create index user_account_email_idx on user_account (lower(email)) where deleted_at is null;

alter table session
    drop constraint session_end_reason_check,
    add constraint session_end_reason_check check (
        end_reason in ('logout', 'revoked', 'password_changed', 'password_reset', 'refresh_token_reused', 'account_deleted')
    );

-- For clean-up in bounded batches.
create index session_ended_idx on session (least(ended_at, expires_at));
create index task_deleted_at_idx on task (deleted_at) where deleted_at is not null;
