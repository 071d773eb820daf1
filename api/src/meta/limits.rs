//! Every limit that a client can meet, each from the constant or the setting that enforces it.

use std::{sync::Arc, time::Duration};

use poem_openapi::Object;
use taskhub::{passwords, sessions, tasks, tokens, users};

use crate::{
    admission, edge, json,
    limits::{Limits as Counts, Policy},
    server,
};

// Only the document enforces these. It cannot name a constant, so a test holds it to them.
const PAGE_ITEMS: i32 = 200;
const Q_CHARACTERS: i32 = 500;
const TIME_ZONE_CHARACTERS: i32 = 64;
const SCOPE_CHARACTERS: i32 = 500;
const RESET_CODE_CHARACTERS: i32 = 100;
const JOB_KIND_CHARACTERS: i32 = 100;
const QUEUE_CHARACTERS: i32 = 50;
const JOB_USER_CHARACTERS: i32 = 100;
const JOB_TEXT_CHARACTERS: i32 = 200;
const JOB_REASON_CHARACTERS: i32 = 500;
const JOB_CURSOR_CHARACTERS: i32 = 200;

/// How much is allowed, and how long things are kept.
#[derive(Debug, Object)]
pub(super) struct MetaLimits {
    /// Of a request's address, path and query together, in bytes.
    uri_bytes: i32,
    /// Of a request's headers.
    header_lines: i32,
    /// Of a request's head, in bytes.
    header_bytes: i32,
    /// Of a request's body, in bytes.
    body_bytes: i64,
    /// How deep JSON may nest.
    json_depth: i32,
    /// How long a request may take, before it is given up with 503.
    request_seconds: i32,
    /// Of an `Idempotency-Key`.
    idempotency_key_characters: i32,
    /// How long an answer is kept for its `Idempotency-Key`.
    idempotency_hours: i32,
    /// Of a page of a list.
    page_items: i32,
    /// How far `include_total` and counts go. Beyond it the number is a lower bound.
    counted_items: i32,
    /// Of the text `q` that a list is searched for.
    q_characters: i32,
    /// Of a task's title.
    title_characters: i32,
    /// Of a description, in bytes of UTF-8.
    description_bytes: i32,
    /// Of a task.
    labels: i32,
    /// Of a label.
    label_characters: i32,
    /// How deep tasks may nest.
    subtask_levels: i32,
    /// How long a deleted task can be restored.
    trash_days: i32,
    /// Of a username, at least.
    username_min_characters: i32,
    /// Of a username, at most.
    username_characters: i32,
    /// Of a password, at least.
    password_min_characters: i32,
    /// Of a password, at most, in bytes of UTF-8.
    password_bytes: i32,
    /// Of an e-mail address.
    email_bytes: i32,
    /// Of the name of a time zone.
    time_zone_characters: i32,
    /// How long a deleted account can be kept by signing in.
    account_days: i32,
    /// Of a token that is sent.
    token_characters: i32,
    /// Of the scopes that somebody asks for.
    scope_characters: i32,
    /// How long an access token is good.
    access_token_seconds: i32,
    /// How long a session lasts without a refresh.
    session_idle_seconds: i32,
    /// How long a session lasts, however often it is refreshed.
    session_seconds: i32,
    /// How long an exchanged refresh token gives its successor again, until that is used.
    refresh_retry_seconds: i32,
    /// Of the code that sets a new password.
    reset_code_characters: i32,
    /// How long that code is good.
    reset_code_seconds: i32,
    /// How long a job can be looked at after it was done or cancelled.
    job_days: i32,
    /// Of the name of a kind of job.
    job_kind_characters: i32,
    /// Of the name of a queue.
    queue_characters: i32,
    /// Of the name or id of a person whose jobs are looked for.
    job_user_characters: i32,
    /// Of a text that jobs are searched for.
    job_text_characters: i32,
    /// Of the reason for which jobs are paused.
    job_reason_characters: i32,
    /// Of the cursor with which many jobs are retried or cancelled.
    job_cursor_characters: i32,
    /// Requests allowed in a time, by policy.
    rates: Vec<MetaRate>,
}

/// One rate limit.
#[derive(Debug, Object)]
struct MetaRate {
    /// As `RateLimit-Policy` names it.
    policy: String,
    requests: i32,
    window_seconds: i32,
}

/// The limits that are settings.
pub struct Settings {
    pub rates: Arc<Counts>,
    pub lifetimes: tokens::Lifetimes,
    pub idempotency: Duration,
    pub request: Duration,
    pub trash: Duration,
    pub jobs: Duration,
}

impl Settings {
    pub(super) fn limits(&self) -> MetaLimits {
        MetaLimits {
            uri_bytes: whole(edge::MAX_URI),
            header_lines: whole(server::MAX_HEADERS),
            header_bytes: whole(server::MAX_HEADER_BYTES),
            body_bytes: admission::MAX_BODY as i64,
            json_depth: whole(json::MAX_DEPTH),
            request_seconds: seconds(self.request),
            idempotency_key_characters: whole(admission::IDEMPOTENCY_KEY_CHARACTERS),
            idempotency_hours: seconds(self.idempotency) / 3600,
            page_items: PAGE_ITEMS,
            counted_items: whole(tasks::COUNTED),
            q_characters: Q_CHARACTERS,
            title_characters: whole(tasks::TITLE_CHARACTERS),
            description_bytes: whole(tasks::DESCRIPTION_BYTES),
            labels: whole(tasks::LABELS),
            label_characters: whole(tasks::LABEL_CHARACTERS),
            subtask_levels: whole(tasks::SUBTASK_LEVELS),
            trash_days: days(self.trash),
            username_min_characters: whole(*users::USERNAME_CHARACTERS.start()),
            username_characters: whole(*users::USERNAME_CHARACTERS.end()),
            password_min_characters: whole(passwords::MIN_LENGTH),
            password_bytes: whole(passwords::MAX_LENGTH),
            email_bytes: whole(users::EMAIL_BYTES),
            time_zone_characters: TIME_ZONE_CHARACTERS,
            account_days: days(users::ERASURE_DELAY),
            token_characters: whole(tokens::MAX_TOKEN_LENGTH),
            scope_characters: SCOPE_CHARACTERS,
            access_token_seconds: seconds(self.lifetimes.access_token),
            session_idle_seconds: seconds(self.lifetimes.refresh_token),
            session_seconds: seconds(sessions::LONGEST),
            refresh_retry_seconds: seconds(self.lifetimes.refresh_retry),
            reset_code_characters: RESET_CODE_CHARACTERS,
            reset_code_seconds: seconds(users::RESET_LIFE),
            job_days: days(self.jobs),
            job_kind_characters: JOB_KIND_CHARACTERS,
            queue_characters: QUEUE_CHARACTERS,
            job_user_characters: JOB_USER_CHARACTERS,
            job_text_characters: JOB_TEXT_CHARACTERS,
            job_reason_characters: JOB_REASON_CHARACTERS,
            job_cursor_characters: JOB_CURSOR_CHARACTERS,
            rates: self.rates(),
        }
    }

    fn rates(&self) -> Vec<MetaRate> {
        Policy::ALL
            .into_iter()
            .filter_map(|policy| Some((policy, self.rates.rate(policy)?)))
            .map(|(policy, rate)| MetaRate {
                policy: policy.name().to_owned(),
                requests: whole(rate.requests),
                window_seconds: seconds(rate.period),
            })
            .collect()
    }
}

fn whole<T: TryInto<i32>>(number: T) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

fn seconds(duration: Duration) -> i32 {
    whole(duration.as_secs())
}

fn days(duration: Duration) -> i32 {
    seconds(duration) / 86_400
}
