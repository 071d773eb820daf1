//! Forgotten passwords.

use std::sync::Arc;

use futures_util::FutureExt as _;
use poem_openapi::{Object, OpenApi, payload::Json, types::Password};
use secrecy::SecretString;
use sqlx::PgPool;
use taskhub::{
    idempotency,
    passwords::Hasher,
    queue::Doorbell,
    users::{self, PasswordReset as Reset},
};

use crate::{
    context::Context,
    limits::Limits,
    problem::Problem,
    response::{Accepted, Done},
    tags::Tags,
};

/// Someone who forgot their password.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct ForgottenPassword {
    /// The address of the account, in whatever case.
    #[oai(validator(max_length = 254))]
    email: String,
}

/// A new password in exchange for a code.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct PasswordReset {
    /// From the letter. Good once, for half an hour.
    #[oai(validator(min_length = 1, max_length = 100))]
    code: Password,
    /// Under the same rules as at registration.
    #[oai(validator(min_length = 10, max_length = 71))]
    new_password: Password,
}

/// The way back for those who cannot sign in.
#[derive(Clone)]
pub struct Api {
    pub db: PgPool,
    pub hasher: Arc<Hasher>,
    pub limits: Arc<Limits>,
    pub doorbell: Doorbell,
}

#[OpenApi(prefix_path = "/v1/auth", tag = "Tags::Authentication")]
impl Api {
    /// Ask for a new password
    ///
    /// Sends a code to the address, if an account has it; one for each, if several have it. The answer
    /// never tells whether one does. Of a mailbox's fifth letter within half an hour on, fewer are sent:
    /// the codes of those before are still good. Needs no token.
    #[oai(
        path = "/forgot-password",
        method = "post",
        operation_id = "forgot_password"
    )]
    async fn forgot(
        &self,
        context: Context,
        body: Json<ForgottenPassword>,
    ) -> Result<Accepted, Problem> {
        self.limits.password_reset(context.address).await?;
        let email = body.0.email;
        if !self.limits.reset_letter(&email).await {
            tracing::info!("a mailbox gets no further letter about a forgotten password");
            return Ok(Accepted::new(false));
        }
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { users::request_password_reset(db, &email).await }.boxed()
        })
        .await?;
        self.doorbell.ring();
        Ok(Accepted::new(done.replayed))
    }

    /// Set a new password
    ///
    /// Takes the code of the letter. Ends every session of the account and uses up its other codes; sign
    /// in next. Needs no token.
    #[oai(
        path = "/reset-password",
        method = "post",
        operation_id = "reset_password"
    )]
    async fn reset(&self, context: Context, body: Json<PasswordReset>) -> Result<Done, Problem> {
        self.limits.password_reset(context.address).await?;
        let (code, new) = (body.0.code.0.into(), body.0.new_password.0.into());
        let key = context.idempotency.as_ref();
        Ok(Done::new(self.exchange(key, &code, &new).await?))
    }
}

impl Api {
    /// Sets a new password in exchange for a code, and tells whether this repeats what was done under the
    /// same key. To be counted by the caller first.
    pub(crate) async fn exchange(
        &self,
        key: Option<&idempotency::Key>,
        code: &SecretString,
        new: &SecretString,
    ) -> taskhub::Result<bool> {
        // Its failure waits: what was done under the same key before is answered first.
        let reset = Reset::prepare(&self.db, &self.hasher, code, new).await;
        let done = idempotency::once(&self.db, key, |db| {
            async move { users::reset_password(db, &reset?).await.map(drop) }.boxed()
        })
        .await?;
        Ok(done.replayed)
    }
}
