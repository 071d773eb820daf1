//! One's own account.

use std::sync::Arc;

use futures_util::FutureExt as _;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    payload::Json,
    types::{MaybeUndefined, Password},
};
use sqlx::PgPool;
use taskhub::{
    idempotency,
    passwords::Hasher,
    users::{self, PasswordChange as Change},
};
use uuid::Uuid;

use crate::{
    context::{Caller, Context},
    limits::Limits,
    problem::Problem,
    response::{Done, Versioned},
    tags::Tags,
    timestamp::Timestamp,
};

/// An account, as its owner sees it.
#[derive(Object)]
pub(crate) struct User {
    id: Uuid,
    /// Never changes, and never names anybody else.
    username: String,
    /// Where mail goes; nobody has verified it.
    email: Option<String>,
    /// An IANA name. Decides what is due today and what is overdue.
    time_zone: String,
    /// One more with each change; the `ETag` is this number in quotes.
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        let users::User {
            id,
            username,
            email,
            time_zone,
            version,
            created_at,
            updated_at,
        } = user;
        Self {
            id,
            username,
            email,
            time_zone,
            version,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// What to change of your account; what is left out stays as it is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct UserChanges {
    /// `null` removes it.
    #[oai(validator(max_length = 254))]
    email: MaybeUndefined<String>,
    /// An IANA name, such as `Europe/Vienna`.
    #[oai(validator(min_length = 1, max_length = 64))]
    time_zone: Option<String>,
}

impl From<UserChanges> for users::UserChanges {
    fn from(changes: UserChanges) -> Self {
        let UserChanges { email, time_zone } = changes;
        Self {
            email: match email {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(email) => Some(Some(email)),
            },
            time_zone,
        }
    }
}

/// A new password.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct PasswordChange {
    current_password: Password,
    /// Under the same rules as at registration.
    #[oai(validator(min_length = 10, max_length = 71))]
    new_password: Password,
}

/// What becomes of a deleted account.
#[derive(Object)]
struct AccountDeletion {
    /// When everything is erased for good. Signing in before that keeps the account.
    erased_at: Timestamp,
}

#[derive(ApiResponse)]
enum Deleted {
    /// Deleted, and to be erased.
    #[oai(status = 202)]
    Accepted(Json<AccountDeletion>),
}

/// One's own account.
pub struct Api {
    pub db: PgPool,
    pub hasher: Arc<Hasher>,
    pub limits: Arc<Limits>,
}

#[OpenApi(prefix_path = "/v1/me", tag = "Tags::Account")]
impl Api {
    /// Show your account
    #[oai(path = "/", method = "get", operation_id = "get_me")]
    async fn get(&self, caller: Caller) -> Result<Versioned<User>, Problem> {
        let user = users::get(&self.db, caller.user_id).await?;
        let version = user.version;
        Ok(Versioned::new(user.into(), version, false))
    }

    /// Change your account
    ///
    /// Changes what is named and leaves the rest (RFC 7396). The username stays for ever.
    #[oai(path = "/", method = "patch", operation_id = "update_me")]
    async fn update(
        &self,
        caller: Caller,
        context: Context,
        body: Json<UserChanges>,
    ) -> Result<Versioned<User>, Problem> {
        let (user_id, changes, versions) = (caller.user_id, body.0.into(), context.versions);
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { users::update(db, user_id, &changes, &versions).await }.boxed()
        })
        .await?;
        let version = done.value.version;
        Ok(Versioned::new(done.value.into(), version, done.replayed))
    }

    /// Delete your account
    ///
    /// At once every session ends and every token is refused. A week later all that you own is
    /// erased; signing in before that keeps it. The username is never given to anybody else.
    #[oai(path = "/", method = "delete", operation_id = "delete_me")]
    async fn delete(&self, caller: Caller, context: Context) -> Result<Deleted, Problem> {
        let (user_id, versions) = (caller.user_id, context.versions);
        let done = idempotency::once(&self.db, None, |db| {
            async move { users::request_deletion(db, user_id, &versions).await }.boxed()
        })
        .await?;
        let erased_at = done.value.into();
        Ok(Deleted::Accepted(Json(AccountDeletion { erased_at })))
    }

    /// Change your password
    ///
    /// Needs the current one, and ends every session but this.
    #[oai(path = "/password", method = "post", operation_id = "change_password")]
    async fn change_password(
        &self,
        caller: Caller,
        context: Context,
        body: Json<PasswordChange>,
    ) -> Result<Done, Problem> {
        // As at signing in: a stolen access token must not help to guess the password.
        self.limits.login(&caller.username, context.address).await?;
        let (user_id, session_id) = (caller.user_id, caller.session_id);
        let (current, new) = (
            body.0.current_password.0.into(),
            body.0.new_password.0.into(),
        );
        // Its failure waits: what was done under the same key before is answered first.
        let change = Change::prepare(&self.db, &self.hasher, user_id, &current, &new).await;
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { users::change_password(db, user_id, session_id, &change?).await }.boxed()
        })
        .await?;
        self.limits
            .login_succeeded(&caller.username, context.address)
            .await;
        Ok(Done::new(done.replayed))
    }
}
