//! Steps that both workflows have.

use super::model::{Step, map};
use crate::environments::Name;

/// A line for the shell. Whatever GitHub fills in comes by `env`, never in the line.
pub(super) fn run(name: &str, line: &str) -> Step {
    Step {
        name: name.to_owned(),
        run: Some(line.to_owned()),
        ..Step::default()
    }
}

/// The repository's variable with the ARN of a role, such as `TASKHUB_STAGING_DEPLOY_ROLE`.
pub(super) fn role(name: Name, what: &str) -> String {
    format!("vars.TASKHUB_{}_{what}_ROLE", name.as_str().to_uppercase())
}

/// `${{ … }}`
pub(super) fn filled(expression: &str) -> String {
    format!("${{{{ {expression} }}}}")
}

/// Runners have Rust, but not always the newest.
pub(super) fn rust() -> Step {
    run(
        "Take the newest Rust",
        "rustup toolchain install stable --profile minimal --component clippy,rustfmt && rustup default stable",
    )
}

/// Builds the image and leaves it in target/image.
pub(super) fn image() -> Step {
    Step {
        id: Some("image"),
        env: map([(
            "SOURCE",
            "${{ github.server_url }}/${{ github.repository }}",
        )]),
        ..run(
            "Build the image",
            "digest=$(cargo xtask image build --source \"$SOURCE\")\n\
             echo \"digest=$digest\" >> \"$GITHUB_OUTPUT\"\n",
        )
    }
}
