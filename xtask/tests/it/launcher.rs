//! `xtask launch`.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{XTASK, eventually};

#[test]
fn a_program_ends_with_the_process_that_started_it() {
    let mut parent = Command::new("sh")
        .args([
            "-c",
            r#""$0" launch --on-death=SIGKILL -- sleep 1000 & echo $!; wait"#,
            XTASK,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(parent.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("a pid");
    let proc = Path::new("/proc").join(line.trim());
    let runs_sleep =
        || std::fs::read_to_string(proc.join("comm")).is_ok_and(|name| name.trim() == "sleep");
    eventually("sleep runs", runs_sleep);

    parent.kill().expect("the shell runs");
    parent.wait().expect("the shell is ours");

    eventually("sleep is gone", || !runs_sleep());
}

#[test]
fn a_program_whose_parent_is_gone_already_does_not_start() {
    let output = Command::new(XTASK)
        .args([
            "launch",
            "--parent=1",
            "--on-death=SIGKILL",
            "--",
            "echo",
            "started",
        ])
        .output()
        .expect("xtask starts");
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
}

#[test]
fn whoever_starts_it_is_nobody_inside_a_namespace() {
    let output = Command::new(XTASK)
        .args([
            "launch",
            "--as-nobody",
            "--on-death=SIGKILL",
            "--",
            "id",
            "-u",
        ])
        .output()
        .expect("xtask starts");
    if output.status.success() {
        assert_eq!(output.stdout, b"65534\n");
    } else {
        // A container that forbids namespaces.
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains("no user namespace"), "{message}");
    }
}
