//! `xtask lint` on this checkout.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{Checkout, XTASK};

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

/// A checkout with a log group that tasks do not know, and a waiver that nothing needs.
#[test]
fn what_is_found_and_a_waiver_that_is_not_needed_end_with_3() {
    let checkout = Checkout::new("exit 0");
    let infra = checkout.path().join("infra");
    for folder in ["policy", "rendered/bootstrap", "rendered/staging"] {
        copy(&crate::emulator::infra().join(folder), &infra.join(folder));
    }
    change(
        &infra.join("rendered/staging/platform.template.json"),
        "\"/taskhub/staging/api\"",
        "\"/elsewhere\"",
    );
    let waiver = "[[waiver]]\nrules = [\"PORTS_DIFFER\"]\ntemplates = [\"staging/service\"]\n\
                  reason = \"none\"\nowner = \"operations\"\nexpires = 2999-12-31\n";
    fs::write(infra.join("policy/WAIVERS.toml"), waiver).expect("a file");

    let output = checkout.run(&["lint", "--json", "--tool", "invariants"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(told["clean"], false);
    let finding = &told["findings"][0];
    assert_eq!(finding["rule"], "NO_SUCH_LOG_GROUP");
    assert_eq!(finding["template"], "staging/service");
    assert_eq!(finding["resource"], "ApiTask");
    let problem = told["problems"][0].as_str().expect("a problem");
    assert_eq!(
        problem,
        "infra/policy/WAIVERS.toml:1: PORTS_DIFFER is not found any more: take it out"
    );

    let output = checkout.run(&["lint", "--tool", "invariants"]);
    assert_eq!(output.status.code(), Some(3));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        table.starts_with("rule  ") && table.contains("ApiTask"),
        "{table}"
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(problem), "{said}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("a folder").flatten() {
        if file.path().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
        }
    }
}

fn change(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{from}");
    fs::write(file, text.replace(from, to)).expect("a file");
}
