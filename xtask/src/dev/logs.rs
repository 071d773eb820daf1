//! The logs of several programs in one stream, on stdout, each line with the name of who wrote it.

use std::{
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    process::Child,
    thread::{self, JoinHandle},
};

/// Ends with the program.
pub(super) type Log = JoinHandle<()>;

/// Follows what a program writes, on both streams.
pub(super) fn follow(name: &str, child: &mut Child) -> Vec<Log> {
    let prefix = prefix(name, std::io::stdout().is_terminal());
    let out = child
        .stdout
        .take()
        .map(|stream| copy(prefix.clone(), stream));
    let err = child.stderr.take().map(|stream| copy(prefix, stream));
    out.into_iter().chain(err).collect()
}

fn copy(prefix: String, stream: impl Read + Send + 'static) -> Log {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            write(&prefix, &String::from_utf8_lossy(&line));
        }
    })
}

/// A line that belongs to the stream.
pub(super) fn write(prefix: &str, line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{prefix}{line}"));
}

/// The name in a column of its own; in colour for a terminal.
pub(super) fn prefix(name: &str, colour: bool) -> String {
    if !colour {
        return format!("{name:<6} | ");
    }
    let code = match name {
        "api" => 36,
        "worker" => 35,
        _ => 32,
    };
    format!("\x1b[{code}m{name:<6}\x1b[0m | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_a_column_and_only_a_terminal_sees_colour() {
        assert_eq!(prefix("api", false), "api    | ");
        assert_eq!(prefix("worker", false), "worker | ");
        assert!(prefix("api", true).starts_with("\x1b[36m"));
    }
}
