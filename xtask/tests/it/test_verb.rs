//! `xtask test` with real servers and a runner that stands in for cargo's.

use std::{
    net::TcpStream,
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{Checkout, XTASK, eventually};

#[test]
fn the_runner_finds_servers_and_its_exit_code_is_passed_on() {
    let checkout = Checkout::new("exit 7");
    let mut xtask = checkout.test();
    let status = xtask.wait().expect("xtask is ours");
    assert_eq!(status.code(), Some(7));

    let postgres = checkout.variable("TEST_DATABASE_URL");
    assert!(
        postgres.starts_with("postgres://postgres@127.0.0.1:"),
        "{postgres}"
    );
    assert!(
        checkout
            .variable("TASKHUB_TEST_POSTGRES_BIN")
            .starts_with('/')
    );
    assert!(
        checkout
            .variable("TASKHUB_TEST_REDIS_SERVER")
            .starts_with('/')
    );
    assert_eq!(checkout.processes(), Vec::<String>::new());
    assert_eq!(checkout.left_over(), Vec::<String>::new());
}

#[test]
fn servers_answer_while_the_runner_runs_and_end_with_a_signal() {
    let checkout = Checkout::new("exec sleep 1000");
    let mut xtask = checkout.test();
    let redis = checkout.variable("TEST_REDIS_BROKER");
    let address = redis.strip_prefix("redis://").expect("a Redis URL");
    TcpStream::connect(address).expect("Redis listens");

    kill(Pid::from_raw(xtask.id().cast_signed()), Signal::SIGTERM).expect("xtask runs");
    let status = xtask.wait().expect("xtask is ours");

    assert_eq!(status.code(), Some(128 + Signal::SIGTERM as i32));
    assert_eq!(checkout.processes(), Vec::<String>::new());
    assert_eq!(checkout.left_over(), Vec::<String>::new());
}

#[test]
fn without_nextest_cargo_is_told_of_a_runner_that_runs() {
    let checkout = Checkout::new(
        r#"printf '%s\n' "$@" > "$(dirname "$0")/arguments"; mv "$(dirname "$0")/arguments" "$(dirname "$0")/told"; exec sleep 1000"#,
    );
    let mut xtask = checkout.test();
    let told = checkout.path().join("told");
    eventually("the runner starts", || told.exists());
    let told = std::fs::read_to_string(told).expect("what the runner was told");
    let mut arguments = told.lines().skip_while(|line| *line != "--config");
    let config = arguments.nth(1).expect("a setting");
    let config: toml::Value = toml::from_str(config).expect("TOML, as cargo reads it");
    let line = config["target"]["cfg(unix)"]["runner"].as_array();
    let words: Vec<&str> = line
        .expect("a list")
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    let output = Command::new(words[0])
        .args(&words[1..])
        .args(["echo", "a test ran"])
        .output();
    kill(Pid::from_raw(xtask.id().cast_signed()), Signal::SIGTERM).expect("xtask runs");
    xtask.wait().expect("xtask is ours");
    assert_eq!(output.expect("it starts").stdout, b"a test ran\n");
}

#[test]
fn killed_it_leaves_no_process_and_the_next_run_sweeps_its_folder() {
    let checkout = Checkout::new("exec sleep 1000");
    let mut xtask = checkout.test();
    checkout.variable("TEST_DATABASE_URL");
    assert!(checkout.processes().len() > 3, "{:?}", checkout.processes());

    xtask.kill().expect("xtask runs");
    xtask.wait().expect("xtask is ours");

    eventually("nothing runs any more", || checkout.processes().is_empty());
    let left = checkout.left_over();
    assert_eq!(left, [format!("test-{}", xtask.id())]);

    std::fs::remove_file(checkout.path().join("environment")).expect("of the first run");
    let mut second = checkout.test();
    checkout.variable("TEST_DATABASE_URL");
    assert!(!checkout.left_over().contains(&left[0]));
    kill(Pid::from_raw(second.id().cast_signed()), Signal::SIGINT).expect("xtask runs");
    second.wait().expect("xtask is ours");
    assert_eq!(checkout.left_over(), Vec::<String>::new());
}

#[test]
fn without_an_engine_the_compose_test_is_skipped_with_the_reason() {
    let checkout = Checkout::new("exit 7");
    let nothing = tempfile::tempdir().expect("a folder");
    let output = Command::new(XTASK)
        .args(["test", "--compose"])
        .env("CARGO", checkout.cargo())
        .env("PATH", nothing.path())
        .stdin(Stdio::null())
        .output()
        .expect("xtask starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.starts_with("skipped: no Docker Engine answers, and "),
        "{said}"
    );
    assert_eq!(checkout.left_over(), Vec::<String>::new());
}
