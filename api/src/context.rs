//! What the gate learned about a request, for the operation that answers it.

use std::{net::IpAddr, sync::Arc};

use poem::{FromRequest, Request, RequestBody};
use poem_openapi::{SecurityScheme, auth::Bearer};
use taskhub::{changes::Actor, idempotency, sessions::Caller as Identity};
use uuid::Uuid;

/// Facts about the request itself.
#[derive(Clone, Debug)]
pub struct Context {
    pub request_id: String,
    /// Of the client, as far as the configured proxies are trusted.
    pub address: IpAddr,
    pub user_agent: Option<String>,
    /// Present where the request may be repeated safely.
    pub idempotency: Option<idempotency::Key>,
    /// The versions that `If-Match` allows; empty where any will do.
    pub versions: Vec<i64>,
}

impl<'a> FromRequest<'a> for Context {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let context = request.data::<Arc<Self>>();
        // Only the gate calls operations, and it always says what it knows.
        Ok(context
            .expect("a request that came through the gate")
            .as_ref()
            .clone())
    }
}

/// The person who calls: their token was checked, and they and their session exist.
#[derive(Clone, Debug, SecurityScheme)]
#[oai(
    ty = "bearer",
    bearer_format = "JWT",
    key_name = "access_token",
    checker = "identified"
)]
pub struct Caller(Arc<Identity>);

/// The gate has checked the token already; without its verdict nobody is signed in.
async fn identified(request: &Request, _bearer: Bearer) -> Option<Arc<Identity>> {
    request.data::<Arc<Identity>>().cloned()
}

impl Caller {
    /// On whose behalf the operation changes things.
    pub fn actor(&self, context: &Context) -> Actor {
        Actor {
            user_id: self.user_id,
            request_id: Some(context.request_id.clone()),
        }
    }

    pub fn id(&self) -> Uuid {
        self.user_id
    }
}

impl std::ops::Deref for Caller {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}
