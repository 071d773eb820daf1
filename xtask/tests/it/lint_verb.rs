//! `xtask lint` on this checkout.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::XTASK;

/// The exit code and the one object on stdout.
fn lint(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(XTASK)
        .args(["lint", "--json"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("xtask starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    (output.status.code(), told)
}

#[test]
fn every_rule_of_ours_passes_what_is_right_and_finds_what_is_not() {
    let (code, told) = lint(&["--cases"]);
    assert_eq!(told["problems"], Value::Array(Vec::new()));
    assert_eq!(code, Some(0));
    let (rules, cases) = (told["rules"].as_u64(), told["cases"].as_u64());
    assert!(rules >= Some(100) && cases > rules, "{told}");
}

#[test]
fn every_wrong_value_in_the_rendered_templates_is_found() {
    let (code, told) = lint(&["--mutate"]);
    assert_eq!(told["problems"], Value::Array(Vec::new()));
    assert_eq!(code, Some(0));
    assert!(told["mutants"].as_u64() > Some(1000), "{told}");
}

#[test]
fn the_templates_pass_our_rules_but_for_what_is_waived() {
    for tool in ["policies", "invariants"] {
        let (code, told) = lint(&["--tool", tool]);
        assert_eq!(told["findings"], Value::Array(Vec::new()), "{tool}");
        assert_eq!(told["problems"], Value::Array(Vec::new()), "{tool}");
        assert_eq!((code, &told["clean"]), (Some(0), &Value::Bool(true)));
    }
}
