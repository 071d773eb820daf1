//! `xtask render` as a process.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::support::Checkout;

const PAGE: &str = "docs/environments.md";
const PRODUCTION: &str = "infra/environments/production.toml";

/// A checkout with what is edited by hand and nothing that is rendered.
fn checkout() -> Checkout {
    let checkout = Checkout::new("exit 1");
    let own = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    for file in [PAGE, PRODUCTION, "infra/environments/staging.toml"] {
        let copy = checkout.path().join(file);
        fs::create_dir_all(copy.parent().expect("a folder")).expect("own folder");
        fs::copy(own.join(file), copy).expect("a file");
    }
    checkout
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn what_was_rendered_is_not_stale() {
    let checkout = checkout();
    assert_eq!(
        code(&checkout.render(&["--check"])),
        Some(4),
        "nothing is rendered yet"
    );
    assert_eq!(code(&checkout.render(&[])), Some(0));
    let again = checkout.render(&["--check", "--json"]);
    assert_eq!(code(&again), Some(0), "{}", told(&again));
    let answer: Value = serde_json::from_slice(&again.stdout).expect("one JSON object");
    assert_eq!(answer["changed"], serde_json::json!([]));
    assert_eq!(answer["written"], false);
}

#[test]
fn a_changed_file_is_shown_and_put_right() {
    let checkout = checkout();
    checkout.render(&[]);
    let file = checkout
        .path()
        .join("infra/rendered/production/service.template.json");
    let rendered = fs::read_to_string(&file).expect("a template");
    fs::write(
        &file,
        rendered.replace(
            "\"MinimumHealthyPercent\": 100",
            "\"MinimumHealthyPercent\": 0",
        ),
    )
    .expect("own file");
    fs::write(
        checkout.path().join("infra/rendered/production/old.json"),
        "{}",
    )
    .expect("own file");

    let check = checkout.render(&["--check"]);
    assert_eq!(code(&check), Some(4));
    let told = told(&check);
    assert!(
        told.contains("-     \"MinimumHealthyPercent\": 0"),
        "{told}"
    );
    assert!(
        told.contains("+     \"MinimumHealthyPercent\": 100"),
        "{told}"
    );
    assert!(told.contains("old.json (committed)"), "{told}");

    checkout.render(&[]);
    assert_eq!(code(&checkout.render(&["--check"])), Some(0));
    assert_eq!(fs::read_to_string(&file).expect("a template"), rendered);
}

#[test]
fn a_fault_in_an_environment_file_changes_nothing_and_has_its_own_exit_code() {
    let checkout = checkout();
    checkout.render(&[]);
    let path = checkout.path().join(PRODUCTION);
    let text = fs::read_to_string(&path)
        .expect("a file")
        .replace("zones = 2", "zones = 7");
    fs::write(&path, text).expect("own file");
    let output = checkout.render(&[]);
    assert_eq!(code(&output), Some(2));
    let told = told(&output);
    assert!(
        told.contains("infra/environments/production.toml:"),
        "{told}"
    );
    assert!(told.contains("network.zones: 7 is not 2 to 3"), "{told}");
}
