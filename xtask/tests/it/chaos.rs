//! `cargo xtask chaos` in its short form, with the fence and without.

use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;

use crate::support::{XTASK, root};

/// How the run ended, and its report.
fn chaos(arguments: &[&str]) -> (ExitStatus, Value) {
    let output = Command::new(XTASK)
        .args(["chaos", "--json"])
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("xtask starts");
    let report = serde_json::from_slice(&output.stdout).expect("a report");
    (output.status, report)
}

#[test]
fn no_job_is_lost_or_done_twice_whatever_breaks() {
    let (status, report) = chaos(&["--minutes=0.3", "--seed=7"]);
    assert_eq!(report["violations"], serde_json::json!([]));
    assert!(status.success());
    // It was not all in vain.
    let count = |name: &str| report[name].as_u64().expect("a number");
    assert!(count("database_effects") > 50, "{report}");
    assert!(count("external_effects") > 5, "{report}");
    assert!(count("lost_answers") > 0, "{report}");
    assert_eq!(report["workers"]["aborted by poison"], 3, "{report}");
    let faults = report["faults"].as_object().expect("faults");
    assert!(faults.len() > 8, "{report}");
}

#[test]
fn without_the_fence_the_same_check_finds_jobs_that_were_done_twice() {
    let (status, report) = chaos(&["--minutes=0.2", "--seed=7", "--unfenced"]);
    assert_eq!(status.code(), Some(1));
    let violations = report["violations"].as_array().expect("violations");
    let twice = |violation: &&Value| violation["what"] == "it is done and left 2 effects";
    assert!(violations.iter().filter(twice).count() > 0, "{report}");
}
