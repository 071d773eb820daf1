//! Where someone is signed in.

use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use sqlx::PgPool;
use taskhub::{
    Error,
    sessions::{self, EndReason},
};
use uuid::Uuid;

use crate::{context::Caller, problem::Problem, response::Done, tags::Tags, timestamp::Timestamp};

/// A place where you are signed in.
#[derive(Object)]
struct Session {
    id: Uuid,
    /// Whether it is the one that asks.
    current: bool,
    /// How the client named itself when it signed in.
    user_agent: Option<String>,
    /// What its tokens allow, as names with spaces between.
    scope: String,
    created_at: Timestamp,
    /// When it was begun or its tokens were last exchanged.
    last_used_at: Timestamp,
    /// When it ends if it is not used.
    expires_at: Timestamp,
}

/// All places where you are signed in.
#[derive(Object)]
struct Sessions {
    /// The most recently used first.
    data: Vec<Session>,
}

impl Session {
    fn new(session: sessions::Session, caller: &Caller) -> Self {
        let sessions::Session {
            id,
            user_agent,
            scope,
            created_at,
            last_used_at,
            expires_at,
        } = session;
        Self {
            id,
            current: id == caller.session_id,
            user_agent,
            scope,
            created_at: created_at.into(),
            last_used_at: last_used_at.into(),
            expires_at: expires_at.into(),
        }
    }
}

/// One's own sessions.
pub struct Api {
    pub db: PgPool,
}

#[OpenApi(prefix_path = "/v1/sessions", tag = "Tags::Sessions")]
impl Api {
    /// List your sessions
    ///
    /// Everywhere you are signed in, the most recently used first.
    #[oai(path = "/", method = "get", operation_id = "list_sessions")]
    async fn list(&self, caller: Caller) -> Result<Json<Sessions>, Problem> {
        let listed = sessions::list(&self.db, caller.user_id).await?;
        let data = listed
            .into_iter()
            .map(|session| Session::new(session, &caller))
            .collect();
        Ok(Json(Sessions { data }))
    }

    /// End your other sessions
    ///
    /// Signs you out everywhere but here; their tokens are refused from now on.
    #[oai(path = "/", method = "delete", operation_id = "end_other_sessions")]
    async fn end_others(&self, caller: Caller) -> Result<Done, Problem> {
        let mut db = self.db.acquire().await.map_err(Error::from)?;
        sessions::end_others(
            &mut db,
            caller.user_id,
            Some(caller.session_id),
            EndReason::Revoked,
        )
        .await?;
        Ok(Done::new(false))
    }

    /// End a session
    ///
    /// Its tokens are refused from now on. Ending it again does nothing.
    #[oai(path = "/:session_id", method = "delete", operation_id = "end_session")]
    async fn end(
        &self,
        caller: Caller,
        /// One of your sessions.
        session_id: Path<Uuid>,
    ) -> Result<Done, Problem> {
        let mut db = self.db.acquire().await.map_err(Error::from)?;
        sessions::end(&mut db, caller.user_id, session_id.0, EndReason::Revoked).await?;
        Ok(Done::new(false))
    }
}
