-- One signed-in device: a family of refresh tokens, each replacing the one before it.
create table session (
    id uuid constraint session_pkey primary key,
    user_id uuid not null
        constraint session_user_id_fkey references user_account (id) on delete cascade,
    -- The scopes of every access token of this session, separated by spaces (RFC 6749, 3.3).
    scope text not null,
    user_agent text constraint session_user_agent_check check (length(user_agent) <= 300),
    created_at timestamptz not null default now(),
    last_used_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    end_reason text
        constraint session_end_reason_check
        check (end_reason in ('logout', 'revoked', 'password_changed', 'refresh_token_reused', 'account_deleted')),
    constraint session_ended_check check ((ended_at is null) = (end_reason is null))
);

create index session_user_id_idx on session (user_id) where ended_at is null;

-- Every refresh token a session ever had, so that an old one that comes back is recognised as stolen.
create table refresh_token (
    -- SHA-256 of the token; the token itself is stored nowhere.
    hash bytea
        constraint refresh_token_pkey primary key
        constraint refresh_token_hash_check check (length(hash) = 32),
    session_id uuid not null
        constraint refresh_token_session_id_fkey references session (id) on delete cascade,
    generation integer not null,
    created_at timestamptz not null default now(),
    -- When it was exchanged for the next generation.
    used_at timestamptz,
    constraint refresh_token_generation_key unique (session_id, generation)
);
