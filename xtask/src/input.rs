//! Standard input, read so that a signal still ends the wait.

use std::{
    io::{self, IsTerminal},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use crate::{progress::say, signals::Signals};

/// What `how` reads from standard input.
///
/// # Errors
/// Where it cannot be read; [`crate::signals::Interrupted`].
pub(crate) fn read(
    signals: &Signals,
    how: impl FnOnce(&mut String) -> io::Result<usize> + Send + 'static,
) -> anyhow::Result<String> {
    let (sender, receiver) = channel();
    // A read cannot be interrupted, so the thread is left to the end of the process.
    thread::spawn(move || {
        let mut text = String::new();
        let read = how(&mut text);
        sender.send(read.map(|_| text))
    });
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(text) => return Ok(text?),
            Err(RecvTimeoutError::Timeout) => signals.wait(Duration::ZERO)?,
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("standard input cannot be read"),
        }
    }
}

/// Whether a person at the terminal types `name`. Where there is no terminal, nobody does.
///
/// # Errors
/// As [`read`].
pub(crate) fn confirms(question: &str, name: &str, signals: &Signals) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    say(format_args!("{question}: type {name} and Enter"));
    let typed = read(signals, |text| io::stdin().read_line(text))?;
    Ok(typed.trim() == name)
}
