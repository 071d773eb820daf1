//! The role of the services, made by a migration.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use taskhub::{
    database,
    testing::{Database, Postgres},
};
use url::Url;
use uuid::Uuid;

const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// The URL of a role that no other test uses: roles belong to the whole server.
fn service(database: &Database, password: &str) -> SecretString {
    let mut url = Url::parse(database.url.expose_secret()).expect("a URL");
    let role = format!("service-{}", Uuid::now_v7().simple());
    url.set_username(&role).expect("a URL with a host");
    url.set_password(Some(password)).expect("a URL with a host");
    String::from(url).into()
}

async fn migrate(database: &Database, service: &SecretString) -> anyhow::Result<Vec<i64>> {
    let options = database::connect_options(&database.url, "test")?;
    database::migrate(&options, Some(service)).await
}

async fn sign_in(url: &SecretString) -> PgConnection {
    let options = PgConnectOptions::from_str(url.expose_secret()).expect("a URL");
    PgConnection::connect_with(&options)
        .await
        .expect("a role that may sign in")
}

async fn refused(db: &mut PgConnection, statement: &'static str) -> bool {
    match sqlx::raw_sql(statement).execute(db).await {
        Ok(_) => false,
        Err(error) => {
            error.as_database_error().and_then(|error| error.code())
                == Some(INSUFFICIENT_PRIVILEGE.into())
        }
    }
}

#[tokio::test]
async fn the_services_role_reads_and_writes_rows() {
    let database = Database::create_empty().await;
    let url = service(&database, "a password");
    migrate(&database, &url).await.expect("a migration");

    let mut db = sign_in(&url).await;
    for statement in [
        "insert into user_account (id, username, password_hash) values (gen_random_uuid(), 'ada', 'x')",
        "update user_account set password_hash = 'y'",
        "delete from user_account",
        "insert into job (kind, args_version, args) values ('welcome_email', 1, '{}')",
        "select version from _sqlx_migrations",
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut db)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[tokio::test]
async fn the_services_role_changes_no_table_and_no_record_of_migrations() {
    let database = Database::create_empty().await;
    let url = service(&database, "a password");
    migrate(&database, &url).await.expect("a migration");

    let mut db = sign_in(&url).await;
    for statement in [
        "drop table task",
        "alter table task add column note text",
        "create table note (text text)",
        "truncate task",
        "delete from _sqlx_migrations",
        "create role another",
    ] {
        assert!(refused(&mut db, statement).await, "{statement}");
    }
}

#[tokio::test]
async fn tables_of_later_migrations_are_the_services_too() {
    let database = Database::create_empty().await;
    let url = service(&database, "a password");
    migrate(&database, &url).await.expect("a migration");

    sqlx::raw_sql("create table later (id bigint generated always as identity, text text)")
        .execute(&database.pool)
        .await
        .expect("a later migration");
    sqlx::raw_sql("insert into later (text) values ('x')")
        .execute(&mut sign_in(&url).await)
        .await
        .expect("a row");
}

#[tokio::test]
async fn another_migration_changes_the_password_of_the_role() {
    let postgres = Postgres::start().await;
    let database = Database::create_on(postgres.url().into()).await;
    let first = service(&database, "the first p@ssword");
    migrate(&database, &first).await.expect("a migration");
    sign_in(&first).await;

    let mut second = Url::parse(first.expose_secret()).expect("a URL");
    second.set_password(Some("the second")).expect("a host");
    let second = SecretString::from(String::from(second));
    migrate(&database, &second)
        .await
        .expect("another migration");

    sign_in(&second).await;
    let options = PgConnectOptions::from_str(first.expose_secret()).expect("a URL");
    PgConnection::connect_with(&options)
        .await
        .expect_err("the first password");
}

#[tokio::test]
async fn the_owner_of_the_tables_is_no_role_for_the_services() {
    let database = Database::create_empty().await;
    let mut url = Url::parse(database.url.expose_secret()).expect("a URL");
    url.set_password(Some("p")).expect("a URL with a host");

    let error = migrate(&database, &String::from(url).into())
        .await
        .expect_err("the owner");

    assert!(
        error.to_string().contains("sign in as the same role"),
        "{error}"
    );
}
