use serde_json::{Value, json};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

const LIFETIMES: Lifetimes = Lifetimes {
    access_token: Duration::from_secs(900),
    refresh_token: Duration::from_secs(3600),
    refresh_retry: Duration::from_secs(600),
};

fn keys(current: &str, previous: Option<&str>) -> Keys {
    let previous = previous.map(SecretString::from);
    Keys::new(&current.into(), previous.as_ref(), LIFETIMES).unwrap()
}

fn genuine_header() -> Value {
    json!({"alg": "HS256", "typ": "at+jwt", "kid": keys(SECRET, None).ring().current.id})
}

fn genuine_claims() -> Value {
    let now = Utc::now().timestamp();
    json!({
        "sub": "alice", "exp": now + 900, "iat": now, "jti": Uuid::now_v7(), "sid": Uuid::now_v7(),
        "iss": "taskhub", "aud": "taskhub-api", "scope": "tasks:read",
    })
}

/// Any header and claims under a signature that `secret` made.
fn forge(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!(
        "{message}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

fn with(mut value: Value, name: &str, member: Value) -> Value {
    value[name] = member;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

fn assert_invalid(token: &str, why: &str) {
    let verdict = keys(SECRET, None).verify(token);
    assert!(
        matches!(verdict, Err(Error::InvalidToken)),
        "{why}: {verdict:?}"
    );
}

#[test]
fn a_token_says_what_it_was_made_to_say() {
    let keys = keys(SECRET, None);
    let session = Uuid::now_v7();
    let scopes: Scopes = "tasks:read account:read".parse().unwrap();
    let token = keys.access_token("alice", session, &scopes).unwrap();
    let claims = keys.verify(token.expose_secret()).unwrap();
    assert_eq!(claims.sub, "alice");
    assert_eq!(claims.sid, session);
    assert_eq!(claims.scope, "account:read tasks:read");
    assert_eq!(claims.exp - claims.iat, 900);
}

#[test]
fn the_forged_tokens_of_these_tests_differ_from_a_genuine_one_in_one_thing_only() {
    let token = forge(&genuine_header(), &genuine_claims(), SECRET);
    assert!(keys(SECRET, None).verify(&token).is_ok());
}

#[test]
fn a_token_of_another_algorithm_is_refused() {
    for algorithm in [
        "none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", "",
    ] {
        let header = with(genuine_header(), "alg", json!(algorithm));
        assert_invalid(&forge(&header, &genuine_claims(), SECRET), algorithm);
    }
    let header = with(genuine_header(), "alg", json!("none"));
    let unsigned = forge(&header, &genuine_claims(), SECRET);
    let (message, _) = unsigned.rsplit_once('.').unwrap();
    assert_invalid(&format!("{message}."), "none without a signature");
}

#[test]
fn a_header_that_is_not_ours_is_refused() {
    for (name, member) in [
        ("typ", json!("JWT")),
        ("typ", json!("refresh+jwt")),
        ("typ", json!(null)),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("kid", json!(null)),
        ("kid", json!("other")),
        ("kid", json!("../../dev/null")),
        ("kid", json!(["a"])),
    ] {
        let header = with(genuine_header(), name, member.clone());
        assert_invalid(
            &forge(&header, &genuine_claims(), SECRET),
            &format!("{name} {member}"),
        );
    }
    for name in ["typ", "kid", "alg"] {
        let header = without(genuine_header(), name);
        assert_invalid(&forge(&header, &genuine_claims(), SECRET), name);
    }
}

#[test]
fn a_missing_claim_is_refused() {
    for name in ["sub", "exp", "iat", "jti", "sid", "iss", "aud", "scope"] {
        let claims = without(genuine_claims(), name);
        assert_invalid(&forge(&genuine_header(), &claims, SECRET), name);
    }
}

#[test]
fn a_wrong_claim_is_refused() {
    let now = Utc::now().timestamp();
    for (name, member) in [
        ("iss", json!("somebody")),
        ("aud", json!("another-api")),
        ("aud", json!(["another-api"])),
        ("sid", json!("1")),
        ("sub", json!(7)),
        ("exp", json!((now + 900).to_string())),
        ("exp", json!(-1)),
        ("exp", json!(1e30)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(now + 900 + 60)),
        ("nbf", json!(now + 60)),
    ] {
        let claims = with(genuine_claims(), name, member.clone());
        assert_invalid(
            &forge(&genuine_header(), &claims, SECRET),
            &format!("{name} {member}"),
        );
    }
}

#[test]
fn a_token_expires_a_clock_s_difference_after_its_time() {
    let now = Utc::now().timestamp();
    let at = |exp: i64| {
        forge(
            &genuine_header(),
            &with(genuine_claims(), "exp", json!(exp)),
            SECRET,
        )
    };
    assert!(keys(SECRET, None).verify(&at(now - 2)).is_ok());
    for exp in [now - 7, now - 30, 0] {
        let verdict = keys(SECRET, None).verify(&at(exp));
        assert!(
            matches!(verdict, Err(Error::ExpiredToken)),
            "{exp}: {verdict:?}"
        );
    }
}

#[test]
fn a_forger_is_not_told_that_a_token_has_expired() {
    let claims = with(genuine_claims(), "exp", json!(0));
    assert_invalid(
        &forge(&genuine_header(), &claims, OTHER),
        "expired and forged",
    );
}

#[test]
fn a_damaged_token_is_refused() {
    let token = forge(&genuine_header(), &genuine_claims(), SECRET);
    let (message, signature) = token.rsplit_once('.').unwrap();
    for damaged in [
        String::new(),
        "...".to_owned(),
        message.to_owned(),
        format!("{token}A"),
        format!("{token}="),
        format!("{token}.{signature}"),
        format!("{message}.{}", signature.chars().rev().collect::<String>()),
        format!(" {token}"),
        "x".repeat(5000),
    ] {
        assert_invalid(&damaged, &damaged);
    }
    let padded = with(genuine_claims(), "padding", json!("x".repeat(4096)));
    assert_invalid(&forge(&genuine_header(), &padded, SECRET), "too long");
}

#[test]
fn a_refresh_token_is_no_access_token() {
    assert_invalid(
        RefreshToken::random()
            .unwrap()
            .into_secret()
            .expose_secret(),
        "refresh token",
    );
}

#[test]
fn the_previous_key_still_opens_and_a_removed_one_does_not() {
    let token = keys(SECRET, None)
        .access_token("alice", Uuid::now_v7(), &Scopes::own())
        .unwrap();
    let token = token.expose_secret();
    assert!(keys(OTHER, Some(SECRET)).verify(token).is_ok());
    assert!(matches!(
        keys(OTHER, None).verify(token),
        Err(Error::InvalidToken)
    ));
    let signed_anew = keys(OTHER, Some(SECRET))
        .access_token("alice", Uuid::now_v7(), &Scopes::own())
        .unwrap();
    assert!(
        keys(OTHER, None)
            .verify(signed_anew.expose_secret())
            .is_ok()
    );
}

#[test]
fn a_short_secret_is_refused() {
    let secret = SecretString::from("x".repeat(31));
    assert!(Keys::new(&secret, None, LIFETIMES).is_err());
    assert!(Keys::new(&SECRET.into(), Some(&secret), LIFETIMES).is_err());
}

#[test]
fn keys_do_not_show_their_secrets() {
    let shown = format!("{:?}", keys(SECRET, Some(OTHER)));
    assert!(!shown.contains(SECRET) && !shown.contains(OTHER), "{shown}");
}

#[test]
fn the_next_refresh_token_depends_on_all_that_it_follows() {
    let session = Uuid::now_v7();
    let of = |keys: &Keys, session, generation, parent: &[u8]| -> Vec<[u8; 32]> {
        let following = keys.following(session, generation, parent);
        following.iter().map(RefreshToken::hash).collect()
    };
    let one = keys(SECRET, None);
    let first = of(&one, session, 1, b"parent");
    assert_eq!(first, of(&one, session, 1, b"parent"));
    assert_ne!(first, of(&one, session, 2, b"parent"));
    assert_ne!(first, of(&one, session, 1, b"another"));
    assert_ne!(first, of(&one, Uuid::now_v7(), 1, b"parent"));
    let both = of(&keys(OTHER, Some(SECRET)), session, 1, b"parent");
    assert_eq!(both[1], first[0]);
    assert_ne!(both[0], first[0]);
}

#[test]
fn a_refresh_token_is_read_as_it_was_written() {
    let token = RefreshToken::random().unwrap();
    let hash = token.hash();
    let written = token.into_secret();
    assert!(written.expose_secret().starts_with("thr_"));
    assert_eq!(RefreshToken::parse(&written).unwrap().hash(), hash);
    for other in [
        "",
        "thr_",
        "thr_short",
        &written.expose_secret()[4..],
        &format!("{}A", written.expose_secret()),
    ] {
        assert!(RefreshToken::parse(&other.into()).is_err(), "{other}");
    }
}

#[test]
fn a_seal_holds_for_its_purpose_its_message_and_its_key_alone() {
    let seal = keys(SECRET, None).seal("cursor", b"message");
    assert!(keys(OTHER, Some(SECRET)).has_sealed("cursor", b"message", &seal));
    assert!(!keys(OTHER, None).has_sealed("cursor", b"message", &seal));
    assert!(!keys(SECRET, None).has_sealed("request", b"message", &seal));
    assert!(!keys(SECRET, None).has_sealed("cursor", b"another", &seal));
    assert!(!keys(SECRET, None).has_sealed("cursor", b"message", &seal[..31]));
}

#[test]
fn keys_are_replaced_while_they_are_in_use() {
    let keys = keys(SECRET, None);
    let scopes = Scopes::own();
    let old = keys.access_token("ada", Uuid::now_v7(), &scopes).unwrap();

    // The next key is accepted everywhere before any process signs with it.
    keys.replace(&SECRET.into(), Some(&OTHER.into())).unwrap();
    keys.verify(old.expose_secret()).unwrap();
    keys.replace(&OTHER.into(), Some(&SECRET.into())).unwrap();
    let new = keys.access_token("ada", Uuid::now_v7(), &scopes).unwrap();
    keys.verify(old.expose_secret()).unwrap();
    keys.verify(new.expose_secret()).unwrap();

    keys.replace(&"short".into(), None).unwrap_err();
    keys.replace(&OTHER.into(), None).unwrap();
    keys.verify(new.expose_secret()).unwrap();
    keys.verify(old.expose_secret()).unwrap_err();
}
