//! `xtask rehearse` with the real programs: what is promised of a release, seen by its users.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{XTASK, eventually};

/// Fault, exit code, and whether users may notice.
const CATALOGUE: [(&str, i32, bool); 13] = [
    ("crash-at-boot", 7, false),
    ("worker-crashes-at-boot", 7, false),
    ("never-ready", 7, false),
    ("ready-then-crash", 7, true),
    ("setting-missing", 7, false),
    ("sigterm-first", 0, false),
    ("slow-requests", 0, false),
    ("ignores-sigterm", 0, false),
    ("killed-without-draining", 3, true),
    ("migration-fails", 6, false),
    ("migration-hangs", 6, false),
    ("database-restarts", 0, true),
    ("cache-down", 0, false),
];

/// The programs beside this one, where they have been built; else `xtask` builds them.
fn binaries() -> Option<PathBuf> {
    let folder = Path::new(XTASK).parent()?;
    let there = ["taskhub-api", "taskhub-worker"].map(|name| folder.join(name).is_file());
    there.iter().all(|there| *there).then(|| folder.to_owned())
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(XTASK);
    command
        .args(["rehearse", "--json"])
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::null());
    if let Some(folder) = binaries() {
        command.arg("--old-binaries").arg(&folder);
        command.arg("--new-binaries").arg(&folder);
    }
    command
}

/// The exit code and the lines of JSON.
fn rehearse(arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = command(arguments).output().expect("xtask starts");
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"));
    (output.status.code(), lines.collect())
}

fn result(lines: &[Value]) -> &Value {
    let last = lines.last().expect("a result");
    assert_eq!(last["kind"], "result", "{last}");
    &last["result"]
}

fn fault(name: &str, code: i32, is_noticed: bool) {
    let (exit, lines) = rehearse(&["--fault", name, "--rate", "100", "--bake", "60"]);
    let result = result(&lines);
    assert_eq!(exit, Some(code), "{name}: {result}");
    assert_eq!(result["lost"], 0, "{name}: {result}");
    if !is_noticed {
        assert_eq!(result["failed"], 0, "{name}: {result}");
    }
    if name == "killed-without-draining" {
        assert!(result["failed"].as_u64() > Some(0), "{name}: {result}");
    }
}

#[test]
fn a_release_fails_no_request() {
    let (exit, lines) = rehearse(&["--rate", "150", "--requests", "2000", "--bake", "20"]);
    let result = result(&lines);
    assert_eq!(exit, Some(0), "{result}");
    assert_eq!(
        (&result["failed"], &result["lost"], &result["outcome"]),
        (&0.into(), &0.into(), &"deployed".into())
    );
    assert!(result["requests"].as_u64() >= Some(2000), "{result}");
    assert!(result["keep_alive"].as_u64() > Some(500), "{result}");
    assert!(result["fresh"].as_u64() > Some(500), "{result}");
    assert!(result["created"].as_u64() > Some(100), "{result}");

    // The order of ECS: no old task of the API leaves before two new ones are healthy.
    let api: Vec<&str> = lines
        .iter()
        .filter(|line| line["service"] == "api" && line["phase"] == "during")
        .filter(|line| line["kind"] == "task")
        .filter_map(|line| line["message"].as_str())
        .filter(|message| !message.starts_with("target"))
        .take(8)
        .map(|message| message.split(',').next().unwrap_or(message))
        .collect();
    let place = |message: &str| api.iter().position(|found| *found == message);
    assert!(place("HEALTHY") < place("DRAINING"), "{api:?}");
    assert!(place("DRAINING") < place("SIGTERM"), "{api:?}");
}

#[test]
fn secrets_are_changed_under_load_and_nobody_notices() {
    let (exit, lines) = rehearse(&["--drill", "rotation", "--speed", "30", "--rate", "100"]);
    let result = result(&lines);
    assert_eq!(exit, Some(0), "{result}");
    assert_eq!((&result["failed"], &result["lost"]), (&0.into(), &0.into()));
    assert!(result["requests"].as_u64() > Some(1000), "{result}");
    let said = |words: &str| {
        let mut messages = lines.iter().filter_map(|line| line["message"].as_str());
        messages.any(|message| message == words)
    };
    assert!(said("every task took a new DATABASE_URL"));
    assert!(said("the tasks are those of the beginning"));
    assert!(said("tokens of the former key are refused"));
}

#[test]
fn a_release_that_crashes_is_taken_back_and_nobody_notices() {
    fault("crash-at-boot", 7, false);
}

#[test]
fn tasks_that_are_killed_at_work_are_seen_to_fail_requests() {
    fault("killed-without-draining", 3, true);
}

#[test]
#[ignore = "takes six minutes: cargo xtask test -- -p xtask every_fault --run-ignored=all"]
fn every_fault_of_the_catalogue_ends_as_it_must() {
    for (name, code, is_noticed) in CATALOGUE {
        fault(name, code, is_noticed);
    }
}

/// A rehearsal under load, with a task that a script holds on to, and its events.
fn under_way() -> (Child, BufReader<ChildStdout>) {
    let mut xtask = command(&["--fault", "ignores-sigterm", "--rate", "50"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    let mut events = BufReader::new(xtask.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.contains("load begins") {
        line.clear();
        let read = events.read_line(&mut line).expect("events");
        assert!(read > 0, "it ended before there was load");
    }
    (xtask, events)
}

/// Every process that works in the folder of a rehearsal or was started with a path in it.
fn processes(xtask: &Child) -> Vec<String> {
    let folder = format!("/rehearse-{}", xtask.id());
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let is_one = line.contains(&folder) || cwd.to_string_lossy().contains(&folder);
            is_one.then_some(line)
        })
        .collect()
}

#[test]
fn told_to_stop_a_rehearsal_leaves_no_process() {
    let (mut xtask, _events) = under_way();
    assert!(processes(&xtask).len() > 6, "{:?}", processes(&xtask));
    kill(Pid::from_raw(xtask.id().cast_signed()), Signal::SIGTERM).expect("xtask runs");
    let status = xtask.wait().expect("xtask is ours");
    assert_eq!(status.code(), Some(128 + Signal::SIGTERM as i32));
    assert_eq!(processes(&xtask), Vec::<String>::new());
}

#[test]
fn killed_a_rehearsal_leaves_no_process() {
    let (mut xtask, _events) = under_way();
    xtask.kill().expect("xtask runs");
    xtask.wait().expect("xtask is ours");
    eventually("nothing runs any more", || processes(&xtask).is_empty());
}

#[test]
fn the_catalogue_is_listed_whole() {
    let output = Command::new(XTASK)
        .args(["rehearse", "--list-faults", "--json"])
        .output()
        .expect("xtask starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let listed: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    assert_eq!(listed.len(), CATALOGUE.len());
    for (row, (name, code, _)) in listed.iter().zip(CATALOGUE) {
        assert_eq!(
            (&row["name"], &row["exit_code"]),
            (&name.into(), &code.into())
        );
    }
}
