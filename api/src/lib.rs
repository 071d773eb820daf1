//! The HTTP door: the operations of the API, and what holds them together.

pub mod admission;
pub mod auth;
pub mod console;
pub mod context;
pub mod contract;
mod cursor;
pub mod docs;
pub mod document;
pub mod edge;
pub mod gate;
pub mod health;
pub mod jobs;
pub mod json;
pub mod labels;
pub mod limits;
pub mod me;
pub mod meta;
pub mod oauth;
pub mod operators;
pub mod pages;
pub mod passwords;
pub mod problem;
pub mod response;
pub mod server;
pub mod sessions;
pub mod tags;
pub mod tasks;
pub mod timestamp;
pub mod validation;

use std::{sync::Arc, time::Duration};

use poem::{Endpoint, EndpointExt as _, IntoEndpoint as _, Response};
use poem_openapi::OpenApiService;
use redis::aio::ConnectionManager;
use sqlx::PgPool;
use taskhub::{passwords::Hasher, queue::Doorbell, settings::RateLimits, tokens};
use url::Url;

use crate::{
    contract::Contract,
    edge::{Edge, compression::Compression, cors::Origins},
    gate::Gate,
    health::Draining,
    limits::Limits,
    operators::Operators,
    pages::Pages,
};

/// What the service is made of. Only `main.rs` and the tests build these.
pub struct Parts {
    pub db: PgPool,
    pub redis: ConnectionManager,
    pub keys: Arc<tokens::Keys>,
    pub hasher: Arc<Hasher>,
    pub doorbell: Doorbell,
    pub draining: Draining,
    pub options: Options,
}

/// How the service behaves, from the settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Under which address clients reach it; without a slash at the end.
    pub public_url: String,
    /// The app that people use, with a slash at the end.
    pub client_url: Option<Url>,
    /// A URI at which people report vulnerabilities.
    pub security_contact: Option<String>,
    /// Exact origins of web pages that may call it.
    pub cors_origins: Vec<String>,
    pub trusted_proxies: usize,
    pub operators: Operators,
    pub rates: RateLimits,
    /// Before every key in Redis.
    pub redis_prefix: String,
    /// How long answers are kept under their `Idempotency-Key`.
    pub idempotency: Duration,
    /// How long the worker keeps deleted tasks, and jobs that are over; clients are told.
    pub keep_trash: Duration,
    pub keep_jobs: Duration,
    pub require_if_match: bool,
    /// After this a request is given up.
    pub deadline: Duration,
}

/// The whole service.
///
/// # Errors
/// Where the document generated from the code contradicts itself.
pub fn app(parts: Parts) -> anyhow::Result<impl Endpoint<Output = Response> + 'static> {
    let Parts {
        db,
        redis,
        keys,
        hasher,
        doorbell,
        draining,
        options,
    } = parts;
    let limits = Arc::new(Limits::new(
        redis.clone(),
        options.rates,
        options.redis_prefix,
    ));
    let auth = auth::Api {
        db: db.clone(),
        hasher: hasher.clone(),
        keys: keys.clone(),
        limits: limits.clone(),
        operators: options.operators.clone(),
        doorbell: doorbell.clone(),
    };
    let passwords = passwords::Api {
        db: db.clone(),
        hasher: hasher.clone(),
        limits: limits.clone(),
        doorbell: doorbell.clone(),
    };
    let pages = Pages {
        public_url: options.public_url.clone(),
        client_url: options.client_url,
        security_contact: options.security_contact,
        draining: draining.clone(),
        passwords: passwords.clone(),
    };
    let people = (
        auth.clone(),
        oauth::Api { auth },
        passwords,
        sessions::Api { db: db.clone() },
        me::Api {
            db: db.clone(),
            hasher,
            limits: limits.clone(),
        },
    );
    let operations = (
        people,
        health::Api {
            draining,
            db: db.clone(),
            redis,
        },
        meta::Api {
            limits: meta::Settings {
                rates: limits.clone(),
                lifetimes: keys.lifetimes,
                idempotency: options.idempotency,
                request: options.deadline,
                trash: options.keep_trash,
                jobs: options.keep_jobs,
            },
        },
        (
            tasks::Api {
                db: db.clone(),
                keys: keys.clone(),
            },
            labels::Api {
                db: db.clone(),
                keys: keys.clone(),
            },
        ),
        (
            jobs::Api { db: db.clone() },
            jobs::admin::Api {
                db: db.clone(),
                keys: keys.clone(),
                doorbell,
            },
        ),
    );
    let service = OpenApiService::new(operations, "TaskHub", env!("CARGO_PKG_VERSION"));
    let document = document::build(&service.spec(), &options.public_url)?;
    let contract = Arc::new(Contract::new(&document.v31)?);
    let gate = Gate {
        contract,
        operations: service.into_endpoint().map_to_response().boxed(),
        db,
        keys,
        limits: limits.clone(),
        operators: options.operators,
        idempotency: options.idempotency,
        require_if_match: options.require_if_match,
    };
    Ok(Edge {
        gate,
        pages: pages::routes(console::routes(docs::routes(&document)), pages)
            .map_to_response()
            .boxed(),
        limits,
        public_url: options.public_url,
        origins: Origins(options.cors_origins),
        compression: Compression::default(),
        trusted_proxies: options.trusted_proxies,
        deadline: options.deadline,
    })
}
