//! Completions as the shells themselves take them.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::support::XTASK;

fn completions(shell: &str) -> String {
    let output = Command::new(XTASK).args(["completions", shell]).output();
    let output = output.expect("xtask runs");
    assert!(output.status.success(), "{shell}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_shell_gets_every_verb_and_its_arguments() {
    for shell in ["bash", "zsh", "fish"] {
        let script = completions(shell);
        for word in ["deploy", "repair", "skip-resources", "detailed-exitcode"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_completes_a_verb() {
    let script = completions("bash");
    let asking =
        "COMP_WORDS=(xtask rep); COMP_CWORD=1; _xtask xtask rep xtask; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash")
        .arg("-eu")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash runs");
    let mut stdin = bash.stdin.take().expect("a pipe");
    write!(stdin, "{script}\n{asking}\n").expect("it reads");
    drop(stdin);
    let output = bash.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(said.trim(), "repair");
}
