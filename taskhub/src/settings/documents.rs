//! The list of variables as people read it.

use super::{Fallback, Kind, Program, VARIABLES, Variable};

/// The text of `.env.example`. Uncommented lines are what development needs.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Copy this file to .env for development outside of `cargo xtask dev`, which sets what it needs itself.\n\
         # A line that begins with `#NAME=` shows the default or an example; an empty value counts as unset.\n",
    );
    for variable in VARIABLES {
        let needed = matches!(variable.default, Fallback::Required | Fallback::Random);
        let value = match variable.default.text(super::Environment::Development) {
            Some(text) => text,
            None => variable.example,
        };
        // dotenv ends an unquoted value at a space.
        let quote = if value.contains(' ') { "\"" } else { "" };
        text.push_str(&format!(
            "\n{}{}{}={quote}{value}{quote}\n",
            wrapped(variable),
            if needed { "" } else { "#" },
            variable.name,
        ));
    }
    text
}

/// The variables as a Markdown table.
pub fn table() -> String {
    let mut text = String::from("| variable | read by | default | meaning |\n|---|---|---|---|\n");
    for variable in VARIABLES {
        let secret = match variable.kind {
            Kind::Plain => "",
            Kind::Secret => " (secret)",
        };
        text.push_str(&format!(
            "| `{}`{secret} | {} | {} | {} |\n",
            variable.name,
            programs(variable.programs),
            default(variable.default),
            variable.meaning,
        ));
    }
    text
}

fn programs(programs: &[Program]) -> String {
    let names: Vec<&str> = programs
        .iter()
        .map(|program| match program {
            Program::Api => "api",
            Program::HealthCheck => "health check",
            Program::Migration => "migrate",
            Program::Worker => "worker",
        })
        .collect();
    names.join(", ")
}

fn default(default: Fallback) -> String {
    match default {
        Fallback::Required => "**required**".to_owned(),
        Fallback::Random => {
            "random at each start; **required** in staging and production".to_owned()
        }
        Fallback::Off => "none".to_owned(),
        Fallback::Text(text) => format!("`{text}`"),
        Fallback::Local(text) => format!("`{text}`; **required** in staging and production"),
        Fallback::Either { local, deployed } => {
            format!("`{local}`; `{deployed}` in staging and production")
        }
    }
}

/// The meaning as comment lines of at most 100 characters.
fn wrapped(variable: &Variable) -> String {
    let mut text = String::new();
    let mut line = String::from("#");
    for word in variable.meaning.split(' ') {
        if line.len() + 1 + word.len() > 100 {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
    text
}
