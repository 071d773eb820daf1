//! Whether the process serves, and whether what it needs answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use poem_openapi::{ApiResponse, Enum, Object, OpenApi, payload::Json};
use redis::aio::ConnectionManager;
use sqlx::PgPool;
use taskhub::database::{self, Schema};

use crate::tags::Tags;

/// Set once, when the process begins to stop.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long a dependency may take to answer before it counts as down.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of one process.
#[derive(Debug, Object)]
pub struct Health {
    /// `serving`, or `draining` once the process has been told to stop.
    status: HealthStatus,
}

#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub enum HealthStatus {
    Serving,
    Draining,
}

/// The state of what the process needs.
#[derive(Debug, Object)]
pub struct Readiness {
    /// Whether all that is indispensable answers.
    ready: bool,
    /// PostgreSQL. Without it nothing but this can be answered.
    database: DependencyStatus,
    /// Whether the schema is the one that this release knows.
    schema: DependencyStatus,
    /// Redis. Without it jobs start a little later and rate limits are coarser.
    redis: DependencyStatus,
}

#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub enum DependencyStatus {
    Up,
    Down,
}

#[derive(ApiResponse)]
pub enum HealthResponse {
    /// It serves.
    #[oai(status = 200)]
    Serving(Json<Health>),
    /// It is stopping; send requests elsewhere.
    #[oai(status = 503)]
    Draining(Json<Health>),
}

#[derive(ApiResponse)]
pub enum ReadinessResponse {
    /// All that is indispensable answers.
    #[oai(status = 200)]
    Ready(Json<Readiness>),
    /// Something indispensable does not.
    #[oai(status = 503)]
    Unready(Json<Readiness>),
}

/// Health checks.
pub struct Api {
    pub draining: Draining,
    pub db: PgPool,
    pub redis: ConnectionManager,
}

#[OpenApi(tag = "Tags::Operations")]
impl Api {
    /// Ask whether the process serves
    ///
    /// The one health check of Compose, of ECS and of the load balancer. It asks nothing else, so that
    /// a database that is away does not take every process down with it.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn health(&self) -> HealthResponse {
        if self.draining.has_begun() {
            return HealthResponse::Draining(Json(Health {
                status: HealthStatus::Draining,
            }));
        }
        HealthResponse::Serving(Json(Health {
            status: HealthStatus::Serving,
        }))
    }

    /// Ask whether the dependencies answer
    ///
    /// For operators and for the proof at the end of a deployment; no load balancer should act on it.
    #[oai(path = "/health/ready", method = "get", operation_id = "get_readiness")]
    async fn ready(&self) -> ReadinessResponse {
        let (schema, redis) = tokio::join!(self.schema(), self.redis());
        let readiness = Readiness {
            ready: schema == Some(true) && !self.draining.has_begun(),
            database: status(schema.is_some()),
            schema: status(schema == Some(true)),
            redis: status(redis),
        };
        if readiness.ready {
            ReadinessResponse::Ready(Json(readiness))
        } else {
            ReadinessResponse::Unready(Json(readiness))
        }
    }
}

impl Api {
    /// Whether the schema is right; `None` where the database does not answer.
    async fn schema(&self) -> Option<bool> {
        let schema = async {
            let mut db = self.db.acquire().await?;
            database::schema(&mut db).await
        };
        let schema = tokio::time::timeout(PATIENCE, schema).await.ok()?.ok()?;
        Some(matches!(schema, Schema::Current | Schema::Newer(_)))
    }

    async fn redis(&self) -> bool {
        let mut redis = self.redis.clone();
        let command = redis::cmd("PING");
        let ping = command.query_async::<()>(&mut redis);
        matches!(tokio::time::timeout(PATIENCE, ping).await, Ok(Ok(())))
    }
}

fn status(up: bool) -> DependencyStatus {
    if up {
        DependencyStatus::Up
    } else {
        DependencyStatus::Down
    }
}
