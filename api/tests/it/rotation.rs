//! Secrets that change in Secrets Manager while the program serves.

use std::{cell::Cell, process::Command, time::Duration};

use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use taskhub::{
    database,
    testing::{Database, Emulator, Postgres, wait_for},
};
use url::Url;
use uuid::Uuid;

use crate::{
    process::{Server, program},
    support::PASSWORD,
};

const SOON: Duration = Duration::from_secs(20);

/// A program that takes what `secret` holds from Secrets Manager and looks at it every second.
fn program_with_secret(database: &Database, emulator: &Emulator, secret: &str) -> Command {
    let mut program = program(database, "serve");
    program
        .envs(emulator.variables())
        .env("TASKHUB_SECRETS", secret)
        .env("SECRETS_REFRESH_SECONDS", "1");
    program
}

async fn post(server: &Server, path: &str, body: &Value) -> Value {
    let request = server.client.post(format!("{}{path}", server.url));
    let answer = request.json(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.unwrap()
}

/// The access token of somebody who signs in, and is registered first where that is needed.
async fn sign_in(server: &Server, register: bool) -> String {
    let credentials = json!({ "username": "ada", "password": PASSWORD });
    if register {
        post(server, "/v1/auth/register", &credentials).await;
    }
    let tokens = post(server, "/v1/auth/login", &credentials).await;
    tokens["access_token"].as_str().unwrap().to_owned()
}

async fn answered(server: &Server, token: &str) -> StatusCode {
    let me = server.client.get(format!("{}/v1/me", server.url));
    me.bearer_auth(token).send().await.unwrap().status()
}

/// What names the key, so that two tokens of one key begin alike.
fn header(token: &str) -> &str {
    token.split('.').next().unwrap()
}

#[tokio::test]
async fn signing_keys_change_without_a_restart_and_without_a_refused_request() {
    let [first, second] = ["the first", "the second"].map(|text| format!("{text:-<40}"));
    let emulator = Emulator::start().await;
    let secret = json!({ "JWT_SECRET": first }).to_string();
    emulator.put_secret("app", &secret).await;
    let database = Database::create().await;
    let mut program = program_with_secret(&database, &emulator, "app");
    program
        .env_remove("JWT_SECRET")
        .env("RATE_LIMIT_LOGIN_ACCOUNT", "0");
    program.env("RATE_LIMIT_LOGIN_ADDRESS", "0");
    let server = Server::start(program).await;
    let old = sign_in(&server, true).await;

    let both = json!({ "JWT_SECRET": second, "JWT_SECRET_PREVIOUS": first }).to_string();
    emulator.change_secret("app", &both).await;
    wait_for("tokens are signed with the new key", SOON, async || {
        assert_eq!(answered(&server, &old).await, StatusCode::OK);
        header(&sign_in(&server, false).await) != header(&old)
    })
    .await;
    let new = sign_in(&server, false).await;
    assert_eq!(answered(&server, &old).await, StatusCode::OK);

    let only = json!({ "JWT_SECRET": second }).to_string();
    emulator.change_secret("app", &only).await;
    wait_for("the old key is forgotten", SOON, async || {
        assert_eq!(answered(&server, &new).await, StatusCode::OK);
        answered(&server, &old).await == StatusCode::UNAUTHORIZED
    })
    .await;
}

#[tokio::test]
async fn the_database_password_changes_without_a_restart_and_without_a_failed_request() {
    let mut postgres = Postgres::start().await;
    let database = Database::create_on(postgres.url().into()).await;
    let owner = database::connect_options(&database.url, "test").unwrap();
    let service = |role: &str, password: &str| {
        let mut url = Url::parse(database.url.expose_secret()).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(password)).unwrap();
        SecretString::from(String::from(url))
    };
    let role = format!("service_{}", Uuid::now_v7().simple());
    let (first, second) = (service(&role, "first"), service(&role, "second"));
    database::migrate(&owner, Some(&first)).await.unwrap();
    let secret = |url: &SecretString| json!({ "DATABASE_URL": url.expose_secret() }).to_string();
    let emulator = Emulator::start().await;
    emulator.put_secret("database", &secret(&first)).await;
    let mut program = program_with_secret(&database, &emulator, "database");
    program.env_remove("DATABASE_URL");
    let server = Server::start(program).await;
    let token = sign_in(&server, true).await;

    let changed = Cell::new(false);
    let change = async {
        database::migrate(&owner, Some(&second)).await.unwrap();
        emulator.change_secret("database", &secret(&second)).await;
        changed.set(true);
    };
    let load = async {
        while !changed.get() {
            assert_eq!(answered(&server, &token).await, StatusCode::OK);
        }
    };
    tokio::join!(change, load);

    // Only the new password opens a connection again.
    postgres.kill();
    postgres.restart().await;
    wait_for("it has connected with the new password", SOON, async || {
        answered(&server, &token).await == StatusCode::OK
    })
    .await;
}
