//! Forgotten passwords.

use secrecy::SecretString;
use taskhub::{
    Error, Result, sessions,
    users::{self, PasswordReset},
};

use crate::people::{PASSWORD, Site};

const ADDRESS: &str = "someone@example.org";
const NEW_PASSWORD: &str = "staple of another kind";

/// The codes that a letter to `email` would hold, by username.
async fn codes(site: &Site, email: &str) -> Vec<(String, SecretString)> {
    let mut db = site.db.acquire().await.unwrap();
    let codes = users::new_reset_codes(&mut db, email).await.unwrap();
    codes
        .into_iter()
        .map(|code| (code.username, code.code))
        .collect()
}

async fn prepare(site: &Site, code: &SecretString) -> Result<PasswordReset> {
    PasswordReset::prepare(&site.db, &site.hasher, code, &NEW_PASSWORD.into()).await
}

fn is_bad_code<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Invalid(violations)) if violations[0].code == "invalid-code")
}

#[tokio::test]
async fn a_code_sets_a_new_password_once_and_ends_every_session() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    site.sign_in("alice").await;
    let (_, code) = codes(&site, "SomeOne@example.org").await.pop().unwrap();
    let (_, another) = codes(&site, ADDRESS).await.pop().unwrap();
    let mut db = site.db.acquire().await.unwrap();
    // Two at once: both were good when they were checked.
    let [first, second] =
        [prepare(&site, &code).await, prepare(&site, &code).await].map(Result::unwrap);
    users::reset_password(&mut db, &first).await.unwrap();
    assert!(is_bad_code(users::reset_password(&mut db, &second).await));
    assert!(is_bad_code(prepare(&site, &code).await));
    assert!(is_bad_code(prepare(&site, &another).await));

    assert!(sessions::list(&site.db, user.id).await.unwrap().is_empty());
    let old = site.try_sign_in("alice", PASSWORD).await;
    assert!(matches!(old, Err(Error::InvalidLogin)));
    site.try_sign_in("alice", NEW_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_code_is_good_for_half_an_hour() {
    let site = Site::create().await;
    site.register("alice").await;
    let (_, code) = codes(&site, ADDRESS).await.pop().unwrap();
    let wait = async |minutes: i32| {
        sqlx::query(
            "update password_reset set expires_at = expires_at - make_interval(mins => $1)",
        )
        .bind(minutes)
        .execute(&site.db)
        .await
        .unwrap();
    };
    wait(29).await;
    let reset = prepare(&site, &code).await.unwrap();
    assert_eq!(users::prune_resets(&site.db, 10).await.unwrap(), 0);
    wait(2).await;
    assert!(is_bad_code(prepare(&site, &code).await));
    let mut db = site.db.acquire().await.unwrap();
    assert!(is_bad_code(users::reset_password(&mut db, &reset).await));
    assert_eq!(users::prune_resets(&site.db, 10).await.unwrap(), 1);
}

#[tokio::test]
async fn every_living_account_of_an_address_has_its_own_code() {
    let site = Site::create().await;
    site.register("alice").await;
    site.register("bob").await;
    site.try_register("carol", Some("carol@example.org"))
        .await
        .unwrap();
    let gone = site.register("gone").await;
    let mut db = site.db.acquire().await.unwrap();
    users::request_deletion(&mut db, gone.id, &[])
        .await
        .unwrap();
    let codes = codes(&site, ADDRESS).await;
    let names: Vec<&str> = codes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    let reset = prepare(&site, &codes[1].1).await.unwrap();
    users::reset_password(&mut db, &reset).await.unwrap();
    site.sign_in("alice").await;
    site.try_sign_in("bob", NEW_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn the_table_does_not_hold_what_the_letter_holds() {
    let site = Site::create().await;
    site.register("alice").await;
    let mut db = site.db.acquire().await.unwrap();
    users::request_password_reset(&mut db, ADDRESS)
        .await
        .unwrap();
    codes(&site, ADDRESS).await;
    let rows: Vec<String> = sqlx::query_scalar(
        "
        select password_reset::text from password_reset
        union all select job::text from job
        ",
    )
    .fetch_all(&site.db)
    .await
    .unwrap();
    assert!(rows.len() >= 2);
    assert!(rows.iter().all(|row| !row.contains("thp_")), "{rows:?}");
}

#[tokio::test]
async fn an_unknown_address_is_answered_as_a_known_one() {
    let site = Site::create().await;
    site.register("alice").await;
    sqlx::query("delete from job")
        .execute(&site.db)
        .await
        .unwrap();
    let mut db = site.db.acquire().await.unwrap();
    for address in [ADDRESS, "nobody@example.org", "nobody@example.org"] {
        users::request_password_reset(&mut db, address)
            .await
            .unwrap();
    }
    // One letter is enough while it is on its way.
    let jobs: i64 = sqlx::query_scalar("select count(*) from job where user_id is null")
        .fetch_one(&site.db)
        .await
        .unwrap();
    assert_eq!(jobs, 2);
    let malformed = users::request_password_reset(&mut db, "nonsense").await;
    assert!(matches!(malformed, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_new_password_must_be_a_good_one() {
    let site = Site::create().await;
    site.register("alice").await;
    let (_, code) = codes(&site, ADDRESS).await.pop().unwrap();
    let verdict = PasswordReset::prepare(&site.db, &site.hasher, &code, &"short".into()).await;
    let Err(Error::Invalid(violations)) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(violations[0].pointer, "/new_password");
    // It was not used up.
    prepare(&site, &code).await.unwrap();
}
