//! A database password that changes in Secrets Manager while the worker works.

use secrecy::{ExposeSecret as _, SecretString};
use taskhub::{
    database,
    testing::{Database, Emulator, Postgres},
};
use url::Url;

use crate::site::Site;

#[tokio::test]
async fn a_worker_takes_a_new_database_password_without_a_restart() {
    let mut postgres = Postgres::start().await;
    let mut site = Site::new().await;
    site.database = Database::create_on(postgres.url().into()).await;
    let owner = database::connect_options(&site.database.url, "test").unwrap();
    let service = |password: &str| {
        let mut url = Url::parse(site.database.url.expose_secret()).unwrap();
        url.set_username("service").unwrap();
        url.set_password(Some(password)).unwrap();
        SecretString::from(String::from(url))
    };
    let secret =
        |url: &SecretString| serde_json::json!({ "DATABASE_URL": url.expose_secret() }).to_string();
    let (first, second) = (service("first"), service("second"));
    database::migrate(&owner, Some(&first)).await.unwrap();
    let emulator = Emulator::start().await;
    emulator.put_secret("database", &secret(&first)).await;
    let aws = emulator.variables();
    let mut variables = vec![
        ("DATABASE_URL", ""),
        ("TASKHUB_SECRETS", "database"),
        ("SECRETS_REFRESH_SECONDS", "1"),
    ];
    variables.extend(aws.iter().map(|(name, value)| (*name, value.as_str())));
    let _worker = site.worker_with(&variables);
    let ada = site.register("ada").await;
    site.wait_for_state(site.greeting(ada).await, "done").await;

    database::migrate(&owner, Some(&second)).await.unwrap();
    emulator.change_secret("database", &secret(&second)).await;
    // Only the new password opens a connection again.
    postgres.kill();
    postgres.restart().await;

    let ben = site.register("ben").await;
    site.wait_for_state(site.greeting(ben).await, "done").await;
}
