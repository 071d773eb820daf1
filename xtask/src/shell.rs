//! Words for a shell: what is printed to be copied, and what is written into scripts.

use std::{ffi::OsStr, path::Path};

use url::Url;

/// One word of a POSIX shell, for people. It is quoted only where it must be: a path may hold a space, an apostrophe or
/// a dollar sign.
pub(crate) fn word(text: impl AsRef<OsStr>) -> String {
    let text = text.as_ref().to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    quoted(text.as_ref())
}

/// The same for scripts: always in quotes.
pub(crate) fn quoted(text: impl AsRef<OsStr>) -> String {
    let text = text.as_ref().to_string_lossy();
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The `file:` URL of a folder, for settings that are URLs. A path that is not absolute has none, and stays as it is.
pub(crate) fn file_url(folder: &Path) -> String {
    let as_it_is = |()| folder.display().to_string();
    Url::from_file_path(folder).map_or_else(as_it_is, String::from)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const PATHS: [&str; 6] = [
        "target/dev/token",
        "/home/Jörg Müller/task hub/token",
        "/it's/here",
        "/cost$HOME/`id`/\"x\"/a\\b",
        "",
        "*",
    ];

    #[test]
    fn a_shell_reads_every_word_as_it_was() {
        for path in PATHS {
            let line = format!("printf '%s\\n' {} {}", word(path), quoted(path));
            let output = Command::new("sh").args(["-c", &line]).output();
            let said = String::from_utf8(output.expect("a shell").stdout).expect("text");
            assert_eq!(said, format!("{path}\n{path}\n"), "{line}");
        }
        assert_eq!(word("target/dev/token"), "target/dev/token");
    }

    #[test]
    fn a_url_names_the_same_folder_again() {
        for path in ["/var/mail", "/home/Jörg Müller/100%/a#b?c"] {
            let url = Url::parse(&file_url(Path::new(path))).expect("a URL");
            assert_eq!(url.to_file_path(), Ok(path.into()));
        }
    }
}
