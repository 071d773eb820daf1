//! What `xtask` itself reads from the environment. None of it is a setting of the programs.

use std::path::PathBuf;

/// The value, unless it is absent or empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the inputs of xtask are no settings of the programs"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The names of all variables.
#[expect(
    clippy::disallowed_methods,
    reason = "the inputs of xtask are no settings of the programs"
)]
pub(crate) fn names() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect()
}

/// Where the shell would find a program of this name.
#[expect(
    clippy::disallowed_methods,
    reason = "the inputs of xtask are no settings of the programs"
)]
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
