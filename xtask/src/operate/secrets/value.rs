//! A value that nobody else may see.

use std::io::{IsTerminal, Read};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use crate::{
    exit::{Exit, Failed},
    input,
    progress::say,
    signals::Signals,
};

/// One line from the terminal, which does not show it, or all of standard input.
///
/// # Errors
/// [`Exit::Usage`] where it is empty or more than a line; [`crate::signals::Interrupted`].
pub(super) fn read(key: &str, signals: &Signals) -> anyhow::Result<String> {
    let is_terminal = std::io::stdin().is_terminal();
    let hidden = is_terminal.then(Hidden::begin).transpose()?;
    if is_terminal {
        say(format_args!(
            "the value of {key}, which is not shown, and Enter:"
        ));
    }
    let text = input::read(signals, move |text| {
        if is_terminal {
            std::io::stdin().read_line(text)
        } else {
            std::io::stdin().read_to_string(text)
        }
    })?;
    drop(hidden);
    let value = text.trim_end_matches(['\r', '\n']).to_owned();
    if value.is_empty() || value.contains('\n') {
        let why = format!("the value of {key} is one line of text");
        return Err(Failed::because(Exit::Usage, why));
    }
    Ok(value)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(std::io::stdin(), SetArg::TCSANOW, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0);
    }
}
