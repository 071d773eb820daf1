use super::*;

const GOOD: &str = "correct horse battery";

fn codes(password: &str) -> Vec<&'static str> {
    violations(
        "/password",
        &password.into(),
        &["alice.of.wonderland", "alice@example.org"],
    )
    .into_iter()
    .map(|violation| violation.code)
    .collect()
}

fn bcrypt(cost: u32) -> Hasher {
    Hasher::bcrypt(cost).unwrap()
}

#[test]
fn every_broken_rule_is_named() {
    assert_eq!(codes(GOOD), [""; 0]);
    assert_eq!(codes("short"), ["too-short"]);
    assert_eq!(codes("nul\0"), ["too-short", "forbidden-character"]);
    assert_eq!(
        codes("a good one\0 that ends early"),
        ["forbidden-character"]
    );
    assert_eq!(codes(&"x7#".repeat(24)), ["too-long"]);
}

#[test]
fn length_is_counted_in_characters_below_and_in_bytes_above() {
    assert_eq!(codes("жёлтые-лук"), [""; 0]);
    assert_eq!(codes("жёлтыелук"), ["too-short"]);
    assert_eq!(codes("жёлтые лужи на дворе под окном соседа"), [""; 0]);
    assert_eq!(
        codes("жёлтые лужи на дворе под окном соседа слева"),
        ["too-long"]
    );
}

#[test]
fn what_a_guesser_tries_first_is_refused() {
    for password in [
        "1234567890",
        "qwertyuiop",
        "password123",
        "P@ssw0rd123",
        "iloveyou123",
        "aaaaaaaaaaaaaaaa",
        "taskhub2026",
        "alice.of.wonderland",
        "alice@example.org",
    ] {
        assert_eq!(codes(password), ["too-guessable"], "{password}");
    }
}

#[tokio::test]
async fn a_password_is_verified_by_its_own_hash_alone() {
    for hasher in [bcrypt(4), Hasher::fast_for_tests().unwrap()] {
        let hash = hasher.hash(&GOOD.into()).await.unwrap();
        assert_ne!(hash, hasher.hash(&GOOD.into()).await.unwrap());
        assert!(hasher.verify(&GOOD.into(), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&"another".into(), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(&GOOD.into(), None).await.unwrap());
        assert!(!hasher.verify(&"".into(), None).await.unwrap());
        assert!(!hasher.verify(&"-".into(), None).await.unwrap());
    }
}

#[tokio::test]
async fn a_hash_of_the_test_scheme_opens_nothing_elsewhere_and_the_reverse() {
    let fast = Hasher::fast_for_tests().unwrap();
    let hash = fast.hash(&GOOD.into()).await.unwrap();
    assert!(!bcrypt(4).verify(&GOOD.into(), Some(&hash)).await.unwrap());
    let hash = bcrypt(4).hash(&GOOD.into()).await.unwrap();
    assert!(!fast.verify(&GOOD.into(), Some(&hash)).await.unwrap());
}

#[tokio::test]
async fn a_password_that_bcrypt_would_cut_is_never_the_right_one() {
    let hasher = bcrypt(4);
    let longest = "x".repeat(MAX_LENGTH);
    let hash = hasher.hash(&longest.as_str().into()).await.unwrap();
    assert!(
        hasher
            .verify(&longest.as_str().into(), Some(&hash))
            .await
            .unwrap()
    );
    assert!(
        !hasher
            .verify(&format!("{longest}y").into(), Some(&hash))
            .await
            .unwrap()
    );
    assert!(
        !hasher
            .verify(&format!("{longest}\0").into(), Some(&hash))
            .await
            .unwrap()
    );
    let hash = hasher.hash(&"ab".into()).await.unwrap();
    assert!(!hasher.verify(&"ab\0ab".into(), Some(&hash)).await.unwrap());
}

#[tokio::test]
async fn a_hash_of_another_cost_is_outdated() {
    let hash = bcrypt(4).hash(&GOOD.into()).await.unwrap();
    assert!(!bcrypt(4).is_outdated(&hash));
    assert!(bcrypt(5).is_outdated(&hash));
}

#[test]
fn an_impossible_cost_is_refused() {
    assert!(Hasher::bcrypt(3).is_err());
    assert!(Hasher::bcrypt(32).is_err());
}

#[tokio::test]
async fn who_comes_when_the_queue_is_full_is_turned_away_at_once() {
    let hasher = Arc::new(bcrypt(4));
    let all = u32::try_from(hasher.places.available_permits()).unwrap();
    let places = Arc::clone(&hasher.places)
        .acquire_many_owned(all)
        .await
        .unwrap();
    let verdict = hasher.hash(&GOOD.into()).await;
    assert!(matches!(verdict, Err(Error::Busy { .. })), "{verdict:?}");
    drop(places);
    assert!(hasher.hash(&GOOD.into()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_for_a_turn_is_turned_away() {
    let hasher = bcrypt(4);
    let places = hasher.places.available_permits();
    let all = u32::try_from(hasher.turns.available_permits()).unwrap();
    let _turns = Arc::clone(&hasher.turns)
        .acquire_many_owned(all)
        .await
        .unwrap();
    let verdict = hasher.hash(&GOOD.into()).await;
    assert!(matches!(verdict, Err(Error::Busy { .. })), "{verdict:?}");
    assert_eq!(hasher.places.available_permits(), places);
}
