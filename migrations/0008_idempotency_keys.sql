-- What a request with an Idempotency-Key was answered, kept so that its repetition is answered the
-- same. Written in the transaction of the effect, so that either both exist or neither does.
create table idempotency_key (
    -- Whose key it is: `user:<id>`, or `name:<username>` where nobody is signed in yet.
    principal text not null,
    -- Method and path template, such as `POST /v1/tasks/{id}/complete`.
    operation text not null,
    key text not null constraint idempotency_key_key_check check (length(key) between 1 and 255),
    -- HMAC-SHA-256 of the canonical request, which may hold a password.
    fingerprint bytea not null constraint idempotency_key_fingerprint_check check (length(fingerprint) = 32),
    -- `{"done": value}` or `{"refused": reason}`.
    outcome jsonb not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    constraint idempotency_key_pkey primary key (principal, operation, key)
);

create index idempotency_key_expires_at_idx on idempotency_key (expires_at);
