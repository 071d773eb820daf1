//! `xtask jobs` where there is nobody to ask, and where it is asked wrongly.

use std::process::{Command, Output};

use crate::support::{Checkout, XTASK};

fn jobs(checkout: &Checkout, arguments: &[&str], token: Option<&str>) -> Output {
    let mut command = Command::new(XTASK);
    command
        .arg("jobs")
        .args(arguments)
        .env("CARGO", checkout.cargo())
        .env_remove("TASKHUB_TOKEN");
    if let Some(token) = token {
        command.env("TASKHUB_TOKEN", token);
    }
    command.output().expect("xtask starts")
}

/// Exit code, and what stderr must tell; stdout carries results alone.
fn assert_refused(output: &Output, code: i32, reason: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(reason), "{errors}");
    assert!(output.stdout.is_empty());
}

#[test]
fn where_nobody_answers_it_fails_and_says_what_to_do() {
    let checkout = Checkout::new("exit 0");
    let refused = |arguments: &[&str], token, reason| {
        assert_refused(&jobs(&checkout, arguments, token), 1, reason);
    };
    refused(&["stats"], None, "name another instance with --url");
    // Port 9 discards, where anything listens there at all.
    let url = ["stats", "--url", "http://127.0.0.1:9"];
    refused(&url, None, "TASKHUB_TOKEN is not set");
    refused(&url, Some("token"), "no answer from http://127.0.0.1:9");
    let open = ["list", "--url", "http://tasks.example.com"];
    refused(&open, Some("token"), "would travel in the open");
}

#[test]
fn wrong_arguments_are_told_apart_from_failures() {
    let checkout = Checkout::new("exit 0");
    for (arguments, reason) in [
        (vec!["retry"], "<IDS>"),
        (vec!["show", "../../me"], "a job's id looks like"),
        (vec!["list", "--state", "asleep"], "possible values"),
        (vec!["list", "--limit", "0"], "--limit"),
        (vec!["retry", "--kind", "welcome_email"], "--dead"),
        (vec!["cancel"], "<IDS>"),
        (vec!["cancel", "--state", "dead"], "possible values"),
        (vec!["pause"], "--kind"),
        (vec!["pause", "--kind", "a", "--queue", "b"], "--queue"),
        (vec!["resume"], "--kind"),
    ] {
        assert_refused(&jobs(&checkout, &arguments, None), 2, reason);
    }
}
