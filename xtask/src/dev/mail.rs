//! Captured e-mails, shown as they arrive.

use std::{
    collections::BTreeSet,
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::logs;
use crate::shell;

/// How often to look. Not every system can tell of a new file.
const INTERVAL: Duration = Duration::from_millis(500);

/// Tells of every e-mail in the folder that this program has not told of yet, until the program ends.
pub(super) fn watch(folder: PathBuf) {
    let prefix = logs::prefix("mail", std::io::stdout().is_terminal());
    let mut seen = BTreeSet::new();
    thread::spawn(move || {
        loop {
            for file in letters(&folder) {
                if seen.insert(file.clone()) {
                    logs::write(&prefix, &line(&file));
                }
            }
            thread::sleep(INTERVAL);
        }
    });
}

fn letters(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect()
}

fn line(file: &Path) -> String {
    let letter = fs::read(file).unwrap_or_default();
    let letter = String::from_utf8_lossy(&letter);
    let subject = subject(&letter).unwrap_or("no subject");
    format!("{subject} ({})", shell::word(file))
}

fn subject(letter: &str) -> Option<&str> {
    letter
        .lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix("Subject:"))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_found_among_the_headers_and_nowhere_else() {
        assert_eq!(
            subject("From: a\r\nSubject: Welcome\r\n\r\nHello"),
            Some("Welcome")
        );
        assert_eq!(subject("From: a\r\n\r\nSubject: no\r\n"), None);
    }
}
