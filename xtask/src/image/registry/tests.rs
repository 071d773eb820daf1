use std::cell::Cell;

use super::*;

fn failure(code: u16) -> Error {
    Error::ServerError {
        code,
        url: "http://127.0.0.1/v2/".to_owned(),
        message: String::new(),
    }
}

/// How often something is tried that fails with `code` until the given try.
fn tries(code: u16, succeeds_at: u32) -> (u32, bool) {
    let tried = Cell::new(0);
    let work = || {
        tried.set(tried.get() + 1);
        let done = tried.get() >= succeeds_at;
        async move { if done { Ok(()) } else { Err(failure(code)) } }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let done = runtime.block_on(retried(Duration::from_millis(1), work));
    (tried.get(), done.is_ok())
}

#[test]
fn what_may_pass_is_tried_again_and_nothing_else() {
    assert_eq!(tries(503, 3), (3, true));
    assert_eq!(tries(429, 3), (3, true));
    assert_eq!(tries(500, 99), (TRIES, false));
    assert_eq!(tries(400, 99), (1, false));
    assert_eq!(tries(401, 99), (1, false));
}

#[test]
fn only_a_refusal_is_taken_for_one() {
    assert!(is_denial(&failure(401)));
    assert!(is_denial(&failure(403)));
    assert!(!is_denial(&failure(404)));
    assert!(is_absent(&failure(404)));
    assert!(!is_absent(&failure(500)));
}

#[test]
fn a_repository_has_a_host_and_no_tag() {
    for text in [
        "127.0.0.1:5000/taskhub",
        "localhost/taskhub",
        "registry.example/team/taskhub",
    ] {
        let repository = Repository::parse(text).expect("a repository");
        assert_eq!(repository.to_string(), text);
    }
    for text in [
        "taskhub",
        "team/taskhub",
        "registry.example/taskhub:latest",
        "registry.example/taskhub@sha256:00",
        "registry.example/TaskHub",
    ] {
        Repository::parse(text).expect_err(text);
    }
}

#[test]
fn only_this_machine_is_spoken_to_without_tls() {
    let is_local = |text: &str| Repository::parse(text).expect("a repository").is_local();
    assert!(is_local("127.0.0.1:5000/taskhub"));
    assert!(is_local("localhost/taskhub"));
    assert!(!is_local("127x.example/taskhub"));
    assert!(!is_local("registry.example:5000/taskhub"));
}
