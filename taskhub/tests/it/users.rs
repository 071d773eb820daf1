//! Accounts from registration to erasure.

use secrecy::{ExposeSecret, SecretString};
use taskhub::{
    Current, Error, Refusal, Result, sessions,
    users::{self, PasswordChange, User, UserChanges},
};

use crate::people::{PASSWORD, Site};

const NEW_PASSWORD: &str = "staple of another kind";

fn codes<T: std::fmt::Debug>(result: Result<T>) -> Vec<(String, &'static str)> {
    match result {
        Err(Error::Invalid(violations)) => violations
            .into_iter()
            .map(|violation| (violation.pointer, violation.code))
            .collect(),
        other => panic!("not invalid: {other:?}"),
    }
}

async fn count(site: &Site, of: &'static str) -> i64 {
    sqlx::query_scalar(of).fetch_one(&site.db).await.unwrap()
}

async fn update(site: &Site, user: &User, changes: UserChanges, versions: &[i64]) -> Result<User> {
    let mut db = site.db.acquire().await.unwrap();
    users::update(&mut db, user.id, &changes, versions).await
}

async fn delete(site: &Site, user: &User) {
    let mut transaction = site.db.begin().await.unwrap();
    users::request_deletion(&mut transaction, user.id, &[])
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn registration_makes_a_workspace_an_inbox_and_their_changes() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    assert_eq!((user.username.as_str(), user.version), ("alice", 1));
    let changes: Vec<(i64, String, String, uuid::Uuid, String)> =
        sqlx::query_as("select seq, entity, op, actor, request_id from change order by seq")
            .fetch_all(&site.db)
            .await
            .unwrap();
    let request = || "request-1".to_owned();
    assert_eq!(
        changes,
        [
            (
                1,
                "workspace".to_owned(),
                "created".to_owned(),
                user.id,
                request()
            ),
            (
                2,
                "project".to_owned(),
                "created".to_owned(),
                user.id,
                request()
            ),
        ]
    );
    assert_eq!(
        count(&site, "select count(*) from project where inbox").await,
        1
    );
    assert_eq!(count(&site, "select last_seq from workspace").await, 2);
}

#[tokio::test]
async fn a_welcome_is_sent_only_where_there_is_an_address() {
    let site = Site::create().await;
    site.try_register("alice", None).await.unwrap();
    assert_eq!(count(&site, "select count(*) from job").await, 0);
    site.try_register("bob", Some("bob@example.org"))
        .await
        .unwrap();
    assert_eq!(
        count(
            &site,
            "select count(*) from job where kind = 'welcome_email'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn two_racing_registrations_make_one_user() {
    let site = Site::create().await;
    let (one, two) = tokio::join!(
        site.try_register("alice", None),
        site.try_register("alice", None)
    );
    let refused = match (one, two) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        other => panic!("not exactly one: {other:?}"),
    };
    assert!(
        matches!(refused, Error::Refused(Refusal::AlreadyExists { .. })),
        "{refused:?}"
    );
    assert_eq!(count(&site, "select count(*) from user_account").await, 1);
    assert_eq!(count(&site, "select count(*) from workspace").await, 1);
}

#[tokio::test]
async fn every_broken_rule_of_a_registration_is_named() {
    let site = Site::create().await;
    let registration = taskhub::users::Registration {
        username: "Al".to_owned(),
        password: "short".into(),
        email: Some("nowhere".to_owned()),
    };
    let verdict = users::NewUser::prepare(&site.hasher, registration).await;
    assert_eq!(
        codes(verdict),
        [
            ("/username".to_owned(), "invalid-username"),
            ("/email".to_owned(), "invalid-email"),
            ("/password".to_owned(), "too-short"),
        ]
    );
}

#[tokio::test]
async fn only_plain_usernames_are_accepted() {
    let site = Site::create().await;
    for username in ["abc", "a.b-c_9", &"x".repeat(50)] {
        site.try_register(username, None).await.unwrap();
    }
    for username in [
        "",
        "ab",
        &"x".repeat(51),
        "Alice",
        "al ice",
        "älice",
        "alice\n",
        "ali\0ce",
        "a/b/c",
    ] {
        let verdict = site.try_register(username, None).await;
        assert_eq!(
            codes(verdict),
            [("/username".to_owned(), "invalid-username")],
            "{username:?}"
        );
    }
}

#[tokio::test]
async fn only_addresses_that_mail_can_reach_are_accepted() {
    let site = Site::create().await;
    let longest = format!(
        "{}@{}.example",
        "l".repeat(63),
        ["d".repeat(60).as_str(); 3].join(".")
    );
    for (index, email) in [
        "a@example.org",
        "a.b+c@mail.example.org",
        "жук@example.org",
        &longest,
    ]
    .into_iter()
    .enumerate()
    {
        site.try_register(&format!("user{index}"), Some(email))
            .await
            .unwrap();
    }
    for email in [
        "",
        "a",
        "@",
        "a@",
        "@example.org",
        "a@b@c",
        "a b@example.org",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org\0",
        "Alice <a@example.org>",
        "\"a b\"@example.org",
        "a@[127.0.0.1]",
        &format!("{}@example.org", "l".repeat(65)),
        &format!("a@{}.org", "d.".repeat(130)),
    ] {
        let verdict = site.try_register("bob", Some(email)).await;
        assert_eq!(
            codes(verdict),
            [("/email".to_owned(), "invalid-email")],
            "{email:?}"
        );
    }
}

#[tokio::test]
async fn a_change_of_one_field_leaves_the_others() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let changes = UserChanges {
        time_zone: Some("Europe/Vienna".to_owned()),
        ..UserChanges::default()
    };
    let changed = update(&site, &user, changes, &[]).await.unwrap();
    assert_eq!(
        (changed.version, changed.time_zone.as_str()),
        (2, "Europe/Vienna")
    );
    assert_eq!(changed.email, user.email);
    let changes = UserChanges {
        email: Some(None),
        ..UserChanges::default()
    };
    let changed = update(&site, &user, changes, &[]).await.unwrap();
    assert_eq!(
        (changed.version, changed.email, changed.time_zone.as_str()),
        (3, None, "Europe/Vienna")
    );
    assert_eq!(users::get(&site.db, user.id).await.unwrap().version, 3);
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_no_new_version() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let changes = UserChanges {
        email: Some(user.email.clone()),
        time_zone: Some("UTC".to_owned()),
    };
    assert_eq!(update(&site, &user, changes, &[]).await.unwrap(), user);
    assert_eq!(
        update(&site, &user, UserChanges::default(), &[])
            .await
            .unwrap(),
        user
    );
}

#[tokio::test]
async fn a_change_at_another_version_is_refused_with_the_present_state() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let changes = UserChanges {
        email: Some(None),
        ..UserChanges::default()
    };
    let verdict = update(&site, &user, changes.clone(), &[2, 3]).await;
    let Err(Error::Refused(Refusal::VersionMismatch {
        current_version,
        current,
    })) = verdict
    else {
        panic!("not refused: {verdict:?}");
    };
    assert_eq!(
        (current_version, current),
        (1, Current::User(Box::new(user.clone())))
    );
    assert_eq!(
        update(&site, &user, changes, &[1, 7])
            .await
            .unwrap()
            .version,
        2
    );
}

#[tokio::test]
async fn unknown_time_zones_and_bad_addresses_are_refused_together() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let changes = UserChanges {
        email: Some(Some("nowhere".to_owned())),
        time_zone: Some("Europe/Atlantis".to_owned()),
    };
    assert_eq!(
        codes(update(&site, &user, changes, &[]).await),
        [
            ("/email".to_owned(), "invalid-email"),
            ("/time_zone".to_owned(), "unknown-time-zone"),
        ]
    );
}

#[tokio::test]
async fn a_changed_password_replaces_the_old_one_and_ends_the_other_sessions() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let (kept, other) = (site.sign_in("alice").await, site.sign_in("alice").await);
    let new = SecretString::from(NEW_PASSWORD);
    let change = PasswordChange::prepare(&site.db, &site.hasher, user.id, &PASSWORD.into(), &new)
        .await
        .unwrap();
    let mut db = site.db.acquire().await.unwrap();
    users::change_password(&mut db, user.id, kept.session_id, &change)
        .await
        .unwrap();
    let sessions = sessions::list(&site.db, user.id).await.unwrap();
    assert_eq!(sessions.len(), 1);
    assert_ne!(sessions[0].id, other.session_id);
    assert!(matches!(
        site.try_sign_in("alice", PASSWORD).await,
        Err(Error::InvalidLogin)
    ));
    site.try_sign_in("alice", NEW_PASSWORD).await.unwrap();
    // The same change once more: what it was checked against is gone.
    let verdict = users::change_password(&mut db, user.id, kept.session_id, &change).await;
    assert_eq!(
        codes(verdict),
        [("/current_password".to_owned(), "wrong-password")]
    );
}

#[tokio::test]
async fn a_change_of_password_needs_the_current_one_and_a_good_new_one() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let verdict = PasswordChange::prepare(
        &site.db,
        &site.hasher,
        user.id,
        &"wrong".into(),
        &"short".into(),
    )
    .await;
    assert_eq!(
        codes(verdict),
        [
            ("/new_password".to_owned(), "too-short"),
            ("/current_password".to_owned(), "wrong-password"),
        ]
    );
}

#[tokio::test]
async fn a_deleted_user_s_tokens_are_refused_at_once() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let grant = site.sign_in("alice").await;
    let claims = site
        .keys
        .verify(grant.access_token.expose_secret())
        .unwrap();
    delete(&site, &user).await;
    assert!(matches!(
        sessions::identify(&site.db, &claims).await,
        Err(Error::RevokedToken)
    ));
    assert!(matches!(
        site.refresh(&grant.refresh_token).await,
        Err(Error::RevokedToken)
    ));
    assert!(matches!(
        users::get(&site.db, user.id).await,
        Err(Error::Refused(Refusal::NotFound))
    ));
    assert_eq!(count(&site, "select count(*) from job where kind = 'erase_account' and run_at > now() + interval '6 days'").await, 1);
}

#[tokio::test]
async fn signing_in_takes_a_deletion_back_and_its_date_with_it() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    delete(&site, &user).await;
    site.sign_in("alice").await;
    users::get(&site.db, user.id).await.unwrap();
    assert_eq!(
        count(
            &site,
            "select count(*) from job where kind = 'erase_account' and state = 'cancelled'"
        )
        .await,
        1
    );
    assert!(!users::erase(&site.db, user.id).await.unwrap());
    delete(&site, &user).await;
    assert_eq!(
        count(
            &site,
            "select count(*) from job where kind = 'erase_account' and state = 'scheduled'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn an_account_is_erased_when_its_time_is_over_and_not_before() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    site.sign_in("alice").await;
    delete(&site, &user).await;
    assert!(!users::erase(&site.db, user.id).await.unwrap());
    site.let_pass(users::ERASURE_DELAY.as_secs_f64()).await;
    assert!(users::erase(&site.db, user.id).await.unwrap());
    assert!(!users::erase(&site.db, user.id).await.unwrap());
    for table in ["workspace", "project", "change", "session", "refresh_token"] {
        let rows: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
                .fetch_one(&site.db)
                .await
                .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(
        count(
            &site,
            "select count(*) from user_account where email is null and password_hash is null"
        )
        .await,
        1
    );
    assert!(matches!(
        site.try_sign_in("alice", PASSWORD).await,
        Err(Error::InvalidLogin)
    ));
}

#[tokio::test]
async fn no_job_tells_the_address_of_an_erased_account() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let mut db = site.db.acquire().await.unwrap();
    for state in ["dead", "done", "cancelled", "ready"] {
        users::request_password_reset(&mut db, "SomeOne@example.org")
            .await
            .unwrap();
        sqlx::query(
            "
            update job set state = $1, finished_at = case when $1 <> 'ready' then now() end, last_error = args ->> 'email'
            where kind = 'password_reset_email' and state = 'ready'
            ",
        )
        .bind(state)
        .execute(&mut *db)
        .await
        .unwrap();
    }
    // One that was done stays, because it stands for all later ones.
    sqlx::raw_sql(
        "
        update job set state = 'done', finished_at = now() where kind = 'welcome_email';
        insert into job_log (job_id, attempt, outcome, error)
        select id, 1, 'failed', '450 not now: someone@example.org' from job;
        ",
    )
    .execute(&mut *db)
    .await
    .unwrap();
    delete(&site, &user).await;
    site.let_pass(users::ERASURE_DELAY.as_secs_f64()).await;

    assert!(users::erase(&site.db, user.id).await.unwrap());

    let telling = "select count(*) from job where job::text ilike '%someone@example.org%'";
    assert_eq!(count(&site, telling).await, 0);
    let telling = "select count(*) from job_log where error ilike '%someone@example.org%'";
    assert_eq!(count(&site, telling).await, 0);
    let greeted = "select count(*) from job where kind = 'welcome_email'";
    assert_eq!(count(&site, greeted).await, 1);
}

#[tokio::test]
async fn an_erasure_leaves_the_letters_of_another_account_with_the_address() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    site.register("alicia").await;
    let mut db = site.db.acquire().await.unwrap();
    users::request_password_reset(&mut db, "someone@example.org")
        .await
        .unwrap();
    delete(&site, &user).await;
    site.let_pass(users::ERASURE_DELAY.as_secs_f64()).await;
    assert!(users::erase(&site.db, user.id).await.unwrap());
    let resets = "select count(*) from job where kind = 'password_reset_email'";
    assert_eq!(count(&site, resets).await, 1);
}

#[tokio::test]
async fn an_erased_username_stays_taken() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    delete(&site, &user).await;
    site.let_pass(users::ERASURE_DELAY.as_secs_f64()).await;
    users::erase(&site.db, user.id).await.unwrap();
    let verdict = site.try_register("alice", None).await;
    assert!(
        matches!(verdict, Err(Error::Refused(Refusal::AlreadyExists { .. }))),
        "{verdict:?}"
    );
}
