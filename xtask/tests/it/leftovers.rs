//! What the commands that documents advise leave in a checkout.

use std::fs;

use crate::{repository::git, support::root};

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// The folder that the command beginning with these words copies into.
fn destination(path: &str, command: &str) -> String {
    let text = text(path);
    let line = text.lines().find(|line| line.contains(command));
    let line = line.unwrap_or_else(|| panic!("{path} advises no {command:?}"));
    let last = line.split_whitespace().last().expect("words");
    last.trim_start_matches("./").to_owned()
}

#[test]
fn git_ignores_what_documented_commands_copy_into_a_checkout() {
    let checkout = tempfile::tempdir().expect("a folder");
    git(checkout.path(), &["init", "--quiet"]);
    fs::write(checkout.path().join(".gitignore"), text(".gitignore")).expect("own folder");
    let untracked = || {
        git(
            checkout.path(),
            &["status", "--porcelain", "--untracked-files=all"],
        )
    };
    let before = untracked();
    for (document, command) in [
        ("docker-compose.yml", "docker compose cp worker:"),
        ("docs/deployment.md", "docker compose cp worker:"),
        ("docs/operations.md", "aws s3 cp --recursive"),
    ] {
        let copied = checkout.path().join(destination(document, command));
        fs::create_dir_all(&copied).expect("own folder");
        fs::write(copied.join("letter.eml"), "a secret").expect("own folder");
        assert_eq!(untracked(), before, "{document}: {command}");
    }
}
