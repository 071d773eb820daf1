//! How sessions begin, go on and end.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use taskhub::{
    Error, Refusal,
    passwords::Hasher,
    sessions::{self, Caller, EndReason, Grant},
    users::{self, PasswordChange},
};

mod retries;

use crate::people::{PASSWORD, Site, keys, login};

const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

async fn identify(site: &Site, grant: &Grant) -> taskhub::Result<Caller> {
    let claims = site.keys.verify(grant.access_token.expose_secret())?;
    sessions::identify(&site.db, &claims).await
}

async fn end_reasons(site: &Site) -> Vec<Option<String>> {
    sqlx::query_scalar("select end_reason from session order by id")
        .fetch_all(&site.db)
        .await
        .unwrap()
}

fn is_revoked<T>(result: &taskhub::Result<T>) -> bool {
    matches!(result, Err(Error::RevokedToken))
}

#[tokio::test]
async fn an_access_token_stands_for_its_user() {
    let site = Site::create().await;
    let user = site.register("alice").await;
    let grant = site.sign_in("alice").await;
    let caller = identify(&site, &grant).await.unwrap();
    assert_eq!(caller.user_id, user.id);
    assert_eq!(caller.username, "alice");
    assert_eq!(caller.session_id, grant.session_id);
    assert_eq!(caller.time_zone, chrono_tz::UTC);
    assert_eq!(caller.scopes, grant.scopes);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_username_get_the_same_answer() {
    let site = Site::create().await;
    site.register("alice").await;
    for (username, password) in [
        ("alice", "wrong horse battery"),
        ("nobody", PASSWORD),
        ("Alice", PASSWORD),
        ("alice", ""),
    ] {
        let verdict = site.try_sign_in(username, password).await;
        assert!(
            matches!(verdict, Err(Error::InvalidLogin)),
            "{username}: {verdict:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_username_costs_a_verification_like_a_known_one() {
    let site = Site::create().await;
    site.register("alice").await;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let counted = || {
        let rendered = metrics.render();
        let line = rendered
            .lines()
            .find(|line| line.starts_with("taskhub_password_hashes_total{work=\"verify\"}"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let before: u64 = counted();
    site.try_sign_in("alice", "wrong horse battery")
        .await
        .unwrap_err();
    assert_eq!(counted() - before, 1);
    site.try_sign_in("nobody", "wrong horse battery")
        .await
        .unwrap_err();
    assert_eq!(counted() - before, 2);
    site.try_sign_in("nobody", &"too long ".repeat(20))
        .await
        .unwrap_err();
    assert_eq!(counted() - before, 3);
}

#[tokio::test]
async fn signing_in_renews_a_hash_of_another_cost() {
    let mut site = Site::create().await;
    site.hasher = Hasher::bcrypt(4).unwrap();
    site.register("alice").await;
    site.hasher = Hasher::bcrypt(5).unwrap();
    site.sign_in("alice").await;
    let hash: String = sqlx::query_scalar("select password_hash from user_account")
        .fetch_one(&site.db)
        .await
        .unwrap();
    assert!(hash.starts_with("$2b$05$"), "{hash}");
    site.sign_in("alice").await;
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair_of_the_same_session() {
    let site = Site::create().await;
    site.register("alice").await;
    let first = site.sign_in("alice").await;
    let second = site.refresh(&first.refresh_token).await.unwrap();
    assert_eq!(second.session_id, first.session_id);
    assert_eq!(second.scopes, first.scopes);
    assert_ne!(
        second.refresh_token.expose_secret(),
        first.refresh_token.expose_secret()
    );
    identify(&site, &second).await.unwrap();
    identify(&site, &first).await.unwrap();
    site.refresh(&second.refresh_token).await.unwrap();
}

#[tokio::test]
async fn fifty_refreshes_at_once_give_one_successor() {
    let site = Site::create().await;
    site.register("alice").await;
    let grant = site.sign_in("alice").await;
    let answers = join_all((0..50).map(|_| site.refresh(&grant.refresh_token))).await;
    let successors: BTreeSet<String> = answers
        .into_iter()
        .map(|answer| answer.unwrap().refresh_token.expose_secret().to_owned())
        .collect();
    assert_eq!(successors.len(), 1);
    let stored: i64 = sqlx::query_scalar("select count(*) from refresh_token")
        .fetch_one(&site.db)
        .await
        .unwrap();
    assert_eq!(stored, 2);
    let successor = SecretString::from(successors.into_iter().next().unwrap());
    site.refresh(&successor).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_after_the_key_has_changed() {
    let mut site = Site::create().await;
    site.register("alice").await;
    let grant = site.sign_in("alice").await;
    let lost = site.refresh(&grant.refresh_token).await.unwrap();
    site.keys = keys(OTHER_SECRET, None);
    let again = site.refresh(&grant.refresh_token).await.unwrap();
    assert_eq!(
        again.refresh_token.expose_secret(),
        lost.refresh_token.expose_secret()
    );
}

/// As the release before stored it: without a seal, derived by the key alone.
#[tokio::test]
async fn an_unsealed_successor_is_given_while_its_key_is_known_and_its_loss_ends_no_session() {
    let mut site = Site::create().await;
    site.register("alice").await;
    let grant = site.sign_in("alice").await;
    let lost = site.refresh(&grant.refresh_token).await.unwrap();
    sqlx::query("update refresh_token set sealed = null")
        .execute(&site.db)
        .await
        .unwrap();
    site.keys = keys(OTHER_SECRET, Some(crate::people::SECRET));
    let again = site.refresh(&grant.refresh_token).await.unwrap();
    assert_eq!(
        again.refresh_token.expose_secret(),
        lost.refresh_token.expose_secret()
    );
    site.keys = keys(OTHER_SECRET, None);
    let verdict = site.refresh(&grant.refresh_token).await;
    assert!(matches!(verdict, Err(Error::InvalidToken)), "{verdict:?}");
    site.refresh(&lost.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_used_token_seals_nothing_that_a_copy_of_the_database_gives_away() {
    let site = Site::create().await;
    site.register("alice").await;
    let first = site.sign_in("alice").await;
    let second = site.refresh(&first.refresh_token).await.unwrap();
    site.refresh(&second.refresh_token).await.unwrap();
    let sealed: Vec<bool> =
        sqlx::query_scalar("select sealed is not null from refresh_token order by generation")
            .fetch_all(&site.db)
            .await
            .unwrap();
    assert_eq!(sealed, [false, false, true]);
}

#[tokio::test]
async fn a_token_that_comes_back_after_its_time_to_retry_ends_the_session() {
    let site = Site::create().await;
    site.register("alice").await;
    let first = site.sign_in("alice").await;
    let second = site.refresh(&first.refresh_token).await.unwrap();
    site.let_pass(24.0 * 60.0 * 60.0 + 1.0).await;
    assert!(is_revoked(&site.refresh(&first.refresh_token).await));
    assert!(is_revoked(&site.refresh(&second.refresh_token).await));
    assert!(is_revoked(&identify(&site, &second).await));
    assert_eq!(
        end_reasons(&site).await,
        [Some("refresh_token_reused".to_owned())]
    );
}

#[tokio::test]
async fn a_token_whose_successor_was_used_ends_the_session_at_once() {
    let site = Site::create().await;
    site.register("alice").await;
    let first = site.sign_in("alice").await;
    let second = site.refresh(&first.refresh_token).await.unwrap();
    let third = site.refresh(&second.refresh_token).await.unwrap();
    assert!(is_revoked(&site.refresh(&first.refresh_token).await));
    assert!(is_revoked(&site.refresh(&third.refresh_token).await));
}

#[tokio::test]
async fn a_stolen_token_ends_its_own_session_alone() {
    let site = Site::create().await;
    site.register("alice").await;
    let (robbed, other) = (site.sign_in("alice").await, site.sign_in("alice").await);
    site.refresh(&robbed.refresh_token).await.unwrap();
    site.let_pass(24.0 * 60.0 * 60.0 + 1.0).await;
    assert!(is_revoked(&site.refresh(&robbed.refresh_token).await));
    identify(&site, &other).await.unwrap();
}

#[tokio::test]
async fn what_is_no_refresh_token_refreshes_nothing() {
    let site = Site::create().await;
    site.register("alice").await;
    let grant = site.sign_in("alice").await;
    let unknown = format!("thr_{}", "A".repeat(43));
    for token in ["", "thr_", &unknown, grant.access_token.expose_secret()] {
        let verdict = site.refresh(&token.into()).await;
        assert!(matches!(verdict, Err(Error::InvalidToken)), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_session_in_use_goes_on_and_an_idle_one_expires() {
    let site = Site::create().await;
    site.register("alice").await;
    let day = 24.0 * 60.0 * 60.0;
    let first = site.sign_in("alice").await;
    site.let_pass(29.0 * day).await;
    let second = site.refresh(&first.refresh_token).await.unwrap();
    assert_eq!(second.refresh_token_expires_in.as_secs(), 30 * 24 * 60 * 60);
    site.let_pass(29.0 * day).await;
    let third = site.refresh(&second.refresh_token).await.unwrap();
    site.let_pass(31.0 * day).await;
    let verdict = site.refresh(&third.refresh_token).await;
    assert!(matches!(verdict, Err(Error::ExpiredToken)), "{verdict:?}");
    assert!(is_revoked(&identify(&site, &third).await));
}

#[tokio::test]
async fn even_a_session_in_daily_use_ends_after_a_year() {
    let site = Site::create().await;
    site.register("alice").await;
    let mut grant = site.sign_in("alice").await;
    let day = 24.0 * 60.0 * 60.0;
    for _ in 0..18 {
        site.let_pass(20.0 * day).await;
        grant = site.refresh(&grant.refresh_token).await.unwrap();
    }
    assert!(grant.refresh_token_expires_in.as_secs() <= 5 * 24 * 60 * 60);
    site.let_pass(6.0 * day).await;
    let verdict = site.refresh(&grant.refresh_token).await;
    assert!(matches!(verdict, Err(Error::ExpiredToken)), "{verdict:?}");
}

#[tokio::test]
async fn a_list_shows_one_s_own_living_sessions() {
    let site = Site::create().await;
    let alice = site.register("alice").await;
    site.register("bob").await;
    site.sign_in("bob").await;
    let (first, second) = (site.sign_in("alice").await, site.sign_in("alice").await);
    let listed = sessions::list(&site.db, alice.id).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|session| session.id).collect();
    assert_eq!(ids, [second.session_id, first.session_id]);
    assert_eq!(listed[0].user_agent.as_deref(), Some("test/1"));
    let mut db = site.db.acquire().await.unwrap();
    sessions::end(&mut db, alice.id, first.session_id, EndReason::Revoked)
        .await
        .unwrap();
    assert_eq!(sessions::list(&site.db, alice.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_ended_session_is_refused_at_once_and_may_be_ended_again() {
    let site = Site::create().await;
    let alice = site.register("alice").await;
    let grant = site.sign_in("alice").await;
    let mut db = site.db.acquire().await.unwrap();
    sessions::end(&mut db, alice.id, grant.session_id, EndReason::Logout)
        .await
        .unwrap();
    assert!(is_revoked(&identify(&site, &grant).await));
    assert!(is_revoked(&site.refresh(&grant.refresh_token).await));
    sessions::end(&mut db, alice.id, grant.session_id, EndReason::Revoked)
        .await
        .unwrap();
    assert_eq!(end_reasons(&site).await, [Some("logout".to_owned())]);
}

#[tokio::test]
async fn somebody_else_s_session_does_not_exist() {
    let site = Site::create().await;
    site.register("alice").await;
    let bob = site.register("bob").await;
    let grant = site.sign_in("alice").await;
    let mut db = site.db.acquire().await.unwrap();
    let verdict = sessions::end(&mut db, bob.id, grant.session_id, EndReason::Revoked).await;
    assert!(
        matches!(verdict, Err(Error::Refused(Refusal::NotFound))),
        "{verdict:?}"
    );
    identify(&site, &grant).await.unwrap();
}

#[tokio::test]
async fn all_sessions_but_one_can_be_ended() {
    let site = Site::create().await;
    let alice = site.register("alice").await;
    site.register("bob").await;
    let bobs = site.sign_in("bob").await;
    let (first, kept, third) = (
        site.sign_in("alice").await,
        site.sign_in("alice").await,
        site.sign_in("alice").await,
    );
    let mut db = site.db.acquire().await.unwrap();
    sessions::end_others(&mut db, alice.id, Some(kept.session_id), EndReason::Revoked)
        .await
        .unwrap();
    assert!(is_revoked(&identify(&site, &first).await));
    assert!(is_revoked(&identify(&site, &third).await));
    identify(&site, &kept).await.unwrap();
    identify(&site, &bobs).await.unwrap();
}

#[tokio::test]
async fn either_token_given_up_ends_its_session_and_an_unknown_one_is_fine() {
    let site = Site::create().await;
    site.register("alice").await;
    let (first, second) = (site.sign_in("alice").await, site.sign_in("alice").await);
    sessions::revoke(&site.db, &site.keys, &first.refresh_token)
        .await
        .unwrap();
    assert!(is_revoked(&identify(&site, &first).await));
    identify(&site, &second).await.unwrap();
    sessions::revoke(&site.db, &site.keys, &second.access_token)
        .await
        .unwrap();
    assert!(is_revoked(&identify(&site, &second).await));
    for token in ["", "anything", &format!("thr_{}", "A".repeat(43))] {
        sessions::revoke(&site.db, &site.keys, &token.into())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_change_of_password_ends_a_session_that_begins_meanwhile() {
    let site = Site::create().await;
    let alice = site.register("alice").await;
    let kept = site.sign_in("alice").await;
    let new = SecretString::from("staple of another kind");
    let change = PasswordChange::prepare(&site.db, &site.hasher, alice.id, &PASSWORD.into(), &new)
        .await
        .unwrap();
    let mut transaction = site.db.begin().await.unwrap();
    users::change_password(&mut transaction, alice.id, kept.session_id, &change)
        .await
        .unwrap();
    let racing = tokio::spawn({
        let (db, hasher, keys) = (
            site.db.clone(),
            Hasher::fast_for_tests().unwrap(),
            keys(crate::people::SECRET, None),
        );
        async move { sessions::start(&db, &hasher, &keys, &login("alice", PASSWORD)).await }
    });
    wait_for_a_lock(&site).await;
    transaction.commit().await.unwrap();
    let verdict = racing.await.unwrap();
    assert!(matches!(verdict, Err(Error::InvalidLogin)), "{verdict:?}");
    identify(&site, &kept).await.unwrap();
}

/// Returns once some statement waits for another's lock.
async fn wait_for_a_lock(site: &Site) {
    for _ in 0..500 {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&site.db)
        .await
        .unwrap();
        if waits {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nothing came to wait for a lock");
}

#[tokio::test]
async fn sessions_over_for_long_are_pruned() {
    let site = Site::create().await;
    site.register("alice").await;
    site.sign_in("alice").await;
    assert_eq!(sessions::prune(&site.db, 10).await.unwrap(), 0);
    site.let_pass(61.0 * 24.0 * 60.0 * 60.0).await;
    let living = site.sign_in("alice").await;
    assert_eq!(sessions::prune(&site.db, 10).await.unwrap(), 1);
    identify(&site, &living).await.unwrap();
}
