//! Every command of `cargo xtask` that a page or a help text shows, before the parser of arguments.

use std::{fs, path::Path};

use clap::{Command, CommandFactory, Parser, error::ErrorKind};

use crate::Cli;

/// Where commands are shown, relative to the checkout.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.expect("the workspace");
    let docs = fs::read_dir(root.join("docs")).expect("docs").flatten();
    let docs = docs.map(|entry| entry.path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let named = ["README.md", "CONTRIBUTING.md"].map(|name| root.join(name));
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).expect("a page");
        (path.display().to_string(), text)
    };
    pages.chain(named).map(read).collect()
}

/// Of this command and all below it, what `--help` says.
fn helps(command: &Command, found: &mut Vec<(String, String)>) {
    let about = command.get_long_about().or(command.get_about());
    if let Some(about) = about {
        found.push((
            format!("the help of {}", command.get_name()),
            about.to_string(),
        ));
    }
    for below in command.get_subcommands() {
        helps(below, found);
    }
}

/// The commands in a text, each as far as the shell would give it to `cargo xtask`.
fn commands(text: &str) -> Vec<String> {
    // What a shell takes for a comment is prose.
    let lines = text.lines().filter_map(|line| line.split(" # ").next());
    let lines = lines.filter(|line| !line.trim_start().starts_with("# "));
    let rest = lines.flat_map(|line| line.split("cargo xtask ").skip(1));
    rest.filter_map(|rest| {
        // To the end of the line, of the code or of what the shell hands over.
        let end = ["`", " | ", " \\| ", " && ", " > ", "; ", ")"];
        let ends = end.iter().filter_map(|end| rest.find(end));
        let line = rest.get(..ends.min().unwrap_or(rest.len()))?;
        // A line that goes on below is read as far as it goes here.
        Some(line.trim().trim_end_matches('\\').to_owned())
    })
    .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
    .collect()
}

/// As a shell would.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quoted = false;
    for (at, part) in line.split(['"', '\'']).enumerate() {
        quoted = at % 2 == 1;
        if quoted {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    assert!(!quoted, "a quote is not closed: {line}");
    words
}

/// What a reader writes instead, so that a value is judged only where it is one.
fn filled(words: Vec<String>) -> Vec<String> {
    let mut filled: Vec<String> = Vec::new();
    for word in words {
        let before = filled.last().map(String::as_str);
        filled.push(match (before, word.as_str()) {
            (Some("--env"), "…" | "<name>" | "NAME") => "staging".to_owned(),
            (_, "sha256:…") => format!("sha256:{}", "0".repeat(64)),
            (Some("--url"), "$URL") => "https://tasks.example.com".to_owned(),
            (Some("--fault"), "NAME") => "cache-down".to_owned(),
            _ => word,
        });
    }
    filled
}

#[test]
fn every_command_that_is_shown_is_one_that_is_taken() {
    let mut shown = pages();
    helps(&Cli::command(), &mut shown);
    let mut tried = 0;
    let mut wrong = Vec::new();
    for (place, text) in &shown {
        for line in commands(text) {
            let words = filled(words(&line));
            let all = ["cargo xtask".to_owned()].into_iter().chain(words);
            tried += 1;
            let Err(error) = Cli::try_parse_from(all) else {
                continue;
            };
            // Prose names verbs without all that they need.
            let is_incomplete = matches!(
                error.kind(),
                ErrorKind::MissingRequiredArgument
                    | ErrorKind::MissingSubcommand
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    | ErrorKind::DisplayHelp
            );
            if !is_incomplete {
                let why = error.to_string();
                let why = why.lines().next().unwrap_or_default().to_owned();
                wrong.push(format!("{place}: cargo xtask {line}: {why}"));
            }
        }
    }
    assert!(tried > 150, "{tried} commands were found");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_command_that_is_refused_is_found() {
    let line = &commands("`UPDATE=1 cargo xtask test document` rewrites")[0];
    assert_eq!(line, "test document");
    assert!(Cli::try_parse_from(["cargo xtask", "test", "document"]).is_err());
    assert_eq!(
        words("exec --break-glass 'a look' -- id"),
        ["exec", "--break-glass", "a look", "--", "id"]
    );
}
