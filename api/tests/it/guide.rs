//! The commands of `docs/api.md`, run as they stand there in one shell.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::support::Service;

/// Parts of the calls that are refused, each with the status that the page tells of.
const REFUSED: &[(&str, u16)] = &[
    // A token that may only read adds a task.
    (r#"{"title": "x"}"#, 403),
    // A code that no letter contains.
    ("thp_from-the-letter", 422),
    (r#""prio": "high""#, 422),
    // An id that is in the trash.
    ("Call the office, offline", 409),
    // An old version.
    (r#"{"priority": "low"}"#, 412),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_guide_do_what_it_says() {
    if let Some(missing) = ["bash", "curl", "jq"].into_iter().find(|tool| !runs(tool)) {
        assert!(!is_ci(), "{missing} is missing");
        skip(&format!("{missing} is missing"));
        return;
    }
    let service = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let guide =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md")).unwrap();
    let script = blocks(&guide, "sh")
        .concat()
        .replace("API=http://localhost:8000", &format!("API={}", service.url));
    let output = run(script, folder.path()).await;
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{told}");

    let answers = answers(folder.path());
    assert!(answers.len() > 20, "{answers:?}");
    for (call, status) in &answers {
        let refused = REFUSED.iter().find(|(part, _)| call.contains(part));
        match refused {
            Some((_, expected)) => assert_eq!(status, expected, "{call}\n{told}"),
            None => assert!((200..400).contains(status), "{call}: {status}\n{told}"),
        }
    }
    for (part, _) in REFUSED {
        let shown = answers.iter().any(|(call, _)| call.contains(part));
        assert!(shown, "no call of the guide contains {part}");
    }
}

/// Notes what each call of curl was told: its arguments and the status, in a file of its own.
const PRELUDE: &str = r#"
set -euo pipefail

curl() {
    note=$(mktemp "$NOTES/XXXXXXXX")
    printf '%s\n' "$*" >"$note"
    command curl --dump-header "$note.head" "$@"
}
"#;

async fn run(script: String, notes: &Path) -> Output {
    let notes = notes.to_owned();
    let run = move || {
        Command::new("bash")
            .args(["-c", &format!("{PRELUDE}{script}")])
            .env("NOTES", &notes)
            .current_dir(&notes)
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Every call with the status of its answer, in any order.
fn answers(notes: &Path) -> Vec<(String, u16)> {
    let files = fs::read_dir(notes)
        .unwrap()
        .map(|file| file.unwrap().path());
    let heads = files.filter(|path| path.extension().is_some_and(|ending| ending == "head"));
    heads
        .map(|head| {
            let answer = fs::read_to_string(&head).unwrap();
            let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
            (fs::read_to_string(head.with_extension("")).unwrap(), status)
        })
        .collect()
}

/// What stands between ` ```<language> ` and ` ``` `.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    page.split(&start)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

fn runs(tool: &str) -> bool {
    let output = Command::new(tool).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

#[expect(
    clippy::disallowed_methods,
    reason = "about the machine, no setting of the programs"
)]
fn is_ci() -> bool {
    std::env::var_os("CI").is_some()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[expect(clippy::print_stderr, reason = "whoever runs the test sees it")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
