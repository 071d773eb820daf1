//! A service of one test's own, on a port of its own.

use std::{sync::Arc, time::Duration};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use taskhub::{
    passwords::Hasher,
    queue::{self, Doorbell},
    settings::{RateLimit, RateLimits},
    testing::Database,
    tokens,
};
use taskhub_api::{
    Options, Parts,
    health::Draining,
    operators::Operators,
    server::{self, Times},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use uuid::Uuid;

pub(crate) const JWT_SECRET: &str = "a secret that only the tests know, 32 bytes long";
pub(crate) const PREVIOUS_JWT_SECRET: &str = "the secret before it, which is 32 bytes long too";
/// The one who may operate every service of the tests.
pub(crate) const OPERATOR: &str = "operator";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A client of HTTP. Where the whole workspace is built, another package has it do TLS as well, for which it has to be
/// told by what, although nobody here speaks it.
pub(crate) fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

/// A running service.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) database: Database,
    pub(crate) client: reqwest::Client,
    pub(crate) keys: Arc<tokens::Keys>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
}

/// Someone who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl Service {
    /// A service with generous limits.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A service whose options `adjust` has changed.
    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Options)) -> Self {
        Self::start_on(&redis_url(), adjust).await
    }

    /// The same with a Redis of the test's own.
    pub(crate) async fn start_on(redis_url: &str, adjust: impl FnOnce(&mut Options)) -> Self {
        let hasher = Hasher::fast_for_tests().unwrap();
        Self::launch(Database::create().await, redis_url, hasher, adjust).await
    }

    /// The same with a PostgreSQL of the test's own.
    pub(crate) async fn start_with_database(database: Database) -> Self {
        let hasher = Hasher::fast_for_tests().unwrap();
        Self::launch(database, &redis_url(), hasher, |_| {}).await
    }

    /// One whose passwords cost what they cost outside tests.
    pub(crate) async fn start_hashing(hasher: Hasher) -> Self {
        Self::launch(Database::create().await, &redis_url(), hasher, |_| {}).await
    }

    async fn launch(
        database: Database,
        redis_url: &str,
        hasher: Hasher,
        adjust: impl FnOnce(&mut Options),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut options = options(&url);
        adjust(&mut options);
        let lifetimes = tokens::Lifetimes {
            access_token: Duration::from_secs(900),
            refresh_token: Duration::from_secs(30 * 24 * 3600),
            refresh_retry: Duration::from_secs(24 * 3600),
        };
        let keys = tokens::Keys::new(
            &JWT_SECRET.into(),
            Some(&PREVIOUS_JWT_SECRET.into()),
            lifetimes,
        );
        let keys = Arc::new(keys.unwrap());
        let queue_keys = queue::Keys::new(&options.redis_prefix, queue::DEFAULT);
        let draining = Draining::default();
        let app = taskhub_api::app(Parts {
            db: database.pool.clone(),
            redis: redis(redis_url),
            keys: keys.clone(),
            hasher: Arc::new(hasher),
            doorbell: Doorbell::new(redis(redis_url), &queue_keys),
            draining: draining.clone(),
            options,
        });
        let (stop, stopped) = oneshot::channel();
        let times = Times {
            finish: Duration::from_secs(5),
            ..Times::default()
        };
        let wait = async {
            let _ = stopped.await;
        };
        let served = server::serve(listener, app.unwrap(), draining, wait, times);
        Self {
            url,
            database,
            client: client(),
            keys,
            stop: Some(stop),
            served: Some(tokio::spawn(served)),
        }
    }

    /// Stops the service as SIGTERM does and waits until it has.
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(served) = self.served.take() {
            served.await.unwrap();
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Registers someone with a name of their own and signs them in.
    pub(crate) async fn user(&self) -> User {
        let username = format!("u{}", &Uuid::new_v4().simple().to_string()[..20]);
        self.register(&username).await;
        self.sign_in(&username).await
    }

    /// Someone who operates the service, signed in for that alone.
    pub(crate) async fn operator(&self) -> User {
        self.register(OPERATOR).await;
        self.operator_again().await
    }

    /// The same, once more.
    pub(crate) async fn operator_again(&self) -> User {
        let body = json!({ "username": OPERATOR, "password": PASSWORD, "scope": "admin" });
        self.signed_in(body).await
    }

    async fn register(&self, username: &str) {
        let body = json!({ "username": username, "password": PASSWORD });
        let registered = self
            .post("/v1/auth/register")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(registered.status(), StatusCode::CREATED);
    }

    /// Signs in with the tests' common password.
    pub(crate) async fn sign_in(&self, username: &str) -> User {
        self.signed_in(json!({ "username": username, "password": PASSWORD }))
            .await
    }

    async fn signed_in(&self, login: Value) -> User {
        let answer = self
            .post("/v1/auth/login")
            .json(&login)
            .send()
            .await
            .unwrap();
        let tokens = success(answer, StatusCode::OK).await;
        User {
            username: login["username"].as_str().unwrap().to_owned(),
            access_token: tokens["access_token"].as_str().unwrap().to_owned(),
            refresh_token: tokens["refresh_token"].as_str().unwrap().to_owned(),
        }
    }

    /// A request on behalf of `user`.
    pub(crate) fn by(&self, user: &User, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(&user.access_token)
    }
}

fn options(url: &str) -> Options {
    let rate = |seconds| {
        Some(RateLimit {
            requests: 100_000,
            period: Duration::from_secs(seconds),
        })
    };
    Options {
        public_url: url.to_owned(),
        client_url: None,
        security_contact: None,
        cors_origins: vec![],
        trusted_proxies: 0,
        operators: Operators::new([OPERATOR.to_owned()], false),
        rates: RateLimits {
            read: rate(60),
            write: rate(60),
            login_address: rate(60),
            login_account: rate(900),
            register: rate(3600),
            password_reset: rate(3600),
        },
        redis_prefix: format!("{}:", Uuid::new_v4().simple()),
        idempotency: Duration::from_secs(24 * 3600),
        keep_trash: Duration::from_secs(30 * 24 * 3600),
        keep_jobs: Duration::from_secs(7 * 24 * 3600),
        require_if_match: false,
        deadline: Duration::from_secs(30),
    }
}

/// A connection that is made when it is first used.
pub(crate) fn redis(url: &str) -> ConnectionManager {
    let client = redis::Client::open(url).unwrap();
    ConnectionManager::new_lazy_with_config(client, ConnectionManagerConfig::new()).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the test servers are is no setting of the programs"
)]
pub(crate) fn redis_url() -> String {
    std::env::var("TEST_REDIS_BROKER")
        .expect("TEST_REDIS_BROKER is not set: run `cargo xtask test`")
}

/// The JSON of an answer that must have `status`.
pub(crate) async fn success(answer: Response, status: StatusCode) -> Value {
    let (found, body) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(found, status, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Asserts that an answer is the problem `code`, whole and well-formed, and gives the document.
pub(crate) async fn problem(answer: Response, status: StatusCode, code: &str) -> Value {
    let found = answer.status();
    let content_type = answer.headers()["content-type"].clone();
    let request_id = answer.headers()["x-request-id"].clone();
    let path = answer.url().path().to_owned();
    let body = answer.text().await.unwrap();
    assert_eq!(found, status, "{body}");
    assert_eq!(content_type, "application/problem+json");
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document["code"], code, "{body}");
    assert_eq!(document["status"], status.as_u16());
    assert_eq!(document["instance"], path);
    assert_eq!(document["request_id"], request_id.to_str().unwrap());
    assert!(
        document["type"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/problems/{code}"))
    );
    assert!(document["title"].is_string() && document["detail"].is_string());
    assert!(document["errors"].is_array());
    document
}

/// A connection of one's own, for what no client would send.
pub(crate) async fn connect(service: &Service) -> TcpStream {
    TcpStream::connect(service.url.trim_start_matches("http://"))
        .await
        .unwrap()
}

/// What the server sends first, or nothing where it only closes.
pub(crate) async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer));
    let length = read
        .await
        .expect("an answer within ten seconds")
        .unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}
