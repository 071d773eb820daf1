//! Registering, signing in, staying signed in and signing out.

use std::sync::Arc;

use futures_util::FutureExt as _;
use poem_openapi::{Object, OpenApi, payload::Json, types::Password};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use taskhub::{
    Error, Refusal, idempotency,
    passwords::Hasher,
    queue::Doorbell,
    scopes::Scopes,
    sessions::{self, EndReason, Excess, Grant, Login as Attempt},
    tokens::Keys,
    users::{self, NewUser},
};

use crate::{
    context::{Caller, Context},
    limits::Limits,
    me::User,
    operators::Operators,
    problem::Problem,
    response::{Created, Done},
    tags::Tags,
};

/// Someone who wants an account.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Registration {
    /// Yours for ever: it cannot be changed, and nobody else ever gets it.
    #[oai(validator(min_length = 3, max_length = 50, pattern = "^[a-z0-9_.-]*$"))]
    username: String,
    /// At most 71 bytes in UTF-8. Any characters but U+0000; what is guessed easily is refused.
    #[oai(validator(min_length = 10, max_length = 71))]
    password: Password,
    /// Where the welcome goes. Leave it out to receive no mail.
    #[oai(validator(max_length = 254))]
    email: Option<String>,
}

/// Someone who signs in.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Login {
    #[oai(validator(max_length = 50))]
    username: String,
    password: Password,
    /// What the tokens shall allow, as names with spaces between. Where it is left out, everything but
    /// `admin`. An unknown name is refused, and so is `admin` for everybody but operators.
    #[oai(validator(min_length = 1, max_length = 500))]
    scope: Option<String>,
}

/// A refresh token to be exchanged.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Refresh {
    #[oai(validator(max_length = 4096))]
    refresh_token: Password,
}

/// A pair of tokens (RFC 6749, section 5.1). Keep both secret.
#[derive(Object)]
pub(crate) struct Tokens {
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// For how many seconds the access token is good.
    expires_in: i64,
    /// Exchange it once, for the next pair.
    refresh_token: String,
    /// For how many seconds the refresh token is good if it is not used.
    refresh_expires_in: i64,
    /// What the tokens allow, as names with spaces between. It can be less than the form asked for.
    scope: String,
}

impl From<Grant> for Tokens {
    fn from(grant: Grant) -> Self {
        let Grant {
            session_id: _,
            access_token,
            access_token_expires_in,
            refresh_token,
            refresh_token_expires_in,
            scopes,
        } = grant;
        Self {
            access_token: access_token.expose_secret().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: seconds(access_token_expires_in),
            refresh_token: refresh_token.expose_secret().to_owned(),
            refresh_expires_in: seconds(refresh_token_expires_in),
            scope: scopes.to_string(),
        }
    }
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Everything about getting and giving up tokens.
#[derive(Clone)]
pub struct Api {
    pub db: PgPool,
    pub hasher: Arc<Hasher>,
    pub keys: Arc<Keys>,
    pub limits: Arc<Limits>,
    pub operators: Operators,
    pub doorbell: Doorbell,
}

#[OpenApi(prefix_path = "/v1/auth", tag = "Tags::Authentication")]
impl Api {
    /// Register an account
    ///
    /// Makes the account, a workspace of its own and an inbox in it, and sends a welcome where an
    /// e-mail address is given. Sign in next. Needs no token.
    #[oai(path = "/register", method = "post", operation_id = "register_user")]
    async fn register(
        &self,
        context: Context,
        body: Json<Registration>,
    ) -> Result<Created<User>, Problem> {
        self.limits.registration(context.address).await?;
        let Json(Registration {
            username,
            password,
            email,
        }) = body;
        if self.operators.reserve(&username) {
            let what = "username".to_owned();
            return Err(Refusal::AlreadyExists {
                what,
                deleted: None,
            }
            .into());
        }
        let registration = users::Registration {
            username,
            password: password.0.into(),
            email,
        };
        // Before a connection is taken: hashing takes longer than the database does.
        let new = NewUser::prepare(&self.hasher, registration).await?;
        let key = context.idempotency.as_ref();
        let request_id = context.request_id.clone();
        let done = idempotency::once(&self.db, key, |db| {
            async move { users::register(db, &new, Some(&request_id)).await }.boxed()
        })
        .await?;
        self.doorbell.ring();
        let version = done.value.version;
        Ok(Created::new(
            done.value.into(),
            "/v1/me".to_owned(),
            version,
            done.replayed,
        ))
    }

    /// Sign in
    ///
    /// Begins a session and gives its first pair of tokens. Signing in during the week after
    /// `DELETE /v1/me` keeps the account. Needs no token.
    #[oai(path = "/login", method = "post", operation_id = "log_in")]
    async fn login(&self, context: Context, body: Json<Login>) -> Result<Json<Tokens>, Problem> {
        let Json(Login {
            username,
            password,
            scope,
        }) = body;
        let scope = scope.as_deref();
        self.sign_in(
            &context,
            username,
            password.0.into(),
            scope,
            Excess::Refused,
        )
        .await
    }

    /// Exchange a refresh token
    ///
    /// Gives the next pair. If the answer gets lost, send the same token again: it gives the same next
    /// refresh token until that one is used, for at most `refresh_retry_seconds` of
    /// `GET /v1/meta/limits`. A second use after that means that somebody stole the token, and the
    /// session ends. Needs no access token.
    #[oai(path = "/refresh", method = "post", operation_id = "refresh_tokens")]
    async fn refresh(&self, body: Json<Refresh>) -> Result<Json<Tokens>, Problem> {
        self.exchange(&body.0.refresh_token.0.into()).await
    }

    /// Sign out
    ///
    /// Ends the session of the access token: both tokens are refused from now on.
    #[oai(path = "/logout", method = "post", operation_id = "log_out")]
    async fn logout(&self, caller: Caller) -> Result<Done, Problem> {
        let mut db = self.db.acquire().await.map_err(Error::from)?;
        sessions::end(
            &mut db,
            caller.user_id,
            caller.session_id,
            EndReason::Logout,
        )
        .await?;
        Ok(Done::new(false))
    }
}

impl Api {
    /// Begins a session, if the username and the password are right and were not tried too often.
    pub(crate) async fn sign_in(
        &self,
        context: &Context,
        username: String,
        password: SecretString,
        scope: Option<&str>,
        excess: Excess,
    ) -> Result<Json<Tokens>, Problem> {
        let scopes = scope.map_or_else(|| Ok(Scopes::own()), str::parse)?;
        // Counted before the password is looked at, so that guesses made at once don't slip through.
        self.limits.login(&username, context.address).await?;
        let attempt = Attempt {
            is_operator: self.operators.include(&username),
            username,
            password,
            scopes,
            excess,
            user_agent: context.user_agent.clone(),
        };
        let grant = sessions::start(&self.db, &self.hasher, &self.keys, &attempt).await?;
        self.limits
            .login_succeeded(&attempt.username, context.address)
            .await;
        Ok(Json(grant.into()))
    }

    pub(crate) async fn exchange(
        &self,
        refresh_token: &SecretString,
    ) -> Result<Json<Tokens>, Problem> {
        let grant = sessions::refresh(&self.db, &self.keys, refresh_token).await?;
        Ok(Json(grant.into()))
    }
}
