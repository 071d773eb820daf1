//! The two programs: this machine's own, or given ones.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{commit::Commit, elf::Elf, tools};
use crate::{
    cargo,
    checkout::Checkout,
    environment,
    exit::{Exit, Failed},
    progress::Step,
    shell,
    signals::Signals,
};

pub(super) const PROGRAMS: [&str; 2] = ["taskhub-api", "taskhub-worker"];

pub(super) struct Binary {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) elf: Elf,
}

/// Reads both, wherever they come from, and makes sure that they may be shown to others.
pub(super) fn read(folder: &Path, checkout: &Checkout) -> anyhow::Result<Vec<Binary>> {
    let places = places(checkout);
    PROGRAMS
        .into_iter()
        .map(|name| {
            let path = folder.join(name);
            let bytes =
                fs::read(&path).with_context(|| format!("{} is not there", path.display()))?;
            if let Some(place) = leak(&bytes, &places)? {
                return Err(Failed::because(
                    Exit::Refused,
                    format!(
                        "{name} holds the path {place} of this machine: build it without --binaries"
                    ),
                ));
            }
            let elf = Elf::parse(&bytes).with_context(|| path.display().to_string())?;
            Ok(Binary { name, bytes, elf })
        })
        .collect()
}

/// Compiles both as the Dockerfile does, and says where they are.
pub(super) fn compile(
    checkout: &Checkout,
    commit: &Commit,
    signals: &Signals,
) -> anyhow::Result<PathBuf> {
    let step = Step::start();
    let mut command = cargo::command();
    command
        .args(["build", "--release", "--locked"])
        .args(PROGRAMS.iter().flat_map(|name| ["-p", name]))
        .arg("--target-dir")
        .arg(checkout.target.join("image/cargo"))
        .current_dir(&checkout.root)
        .env("SQLX_OFFLINE", "true")
        .env("TASKHUB_COMMIT", &commit.revision)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            rust_flags(checkout)?.join("\u{1f}"),
        )
        .env("CFLAGS", c_flags(checkout).join(" "))
        // What is given may hold quotes, and what we add does where a path has a space.
        .env("CC_SHELL_ESCAPED_FLAGS", "1");
    tools::shown("cargo build", command, signals)?;
    step.done("programs compiled");
    Ok(checkout.target.join("image/cargo/release"))
}

/// Directories of this machine whose names have no business in the image.
fn places(checkout: &Checkout) -> Vec<PathBuf> {
    let mut places = vec![checkout.root.clone(), checkout.target.clone()];
    places.extend(cargo_home());
    places
}

fn cargo_home() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(environment::variable("HOME")?).join(".cargo"));
    environment::variable("CARGO_HOME").map_or_else(home, |path| Some(path.into()))
}

/// What stands for each of these directories in panics' messages. The last that fits is taken.
fn stand_ins(checkout: &Checkout) -> Vec<(PathBuf, &'static str)> {
    let mut stand_ins = vec![
        (checkout.root.clone(), "/taskhub"),
        (checkout.target.clone(), "/target"),
    ];
    stand_ins.extend(cargo_home().map(|home| (home, "/cargo")));
    stand_ins
}

/// Where the standard library's sources are installed, rustc says so instead of naming its own commit.
fn rust_flags(checkout: &Checkout) -> anyhow::Result<Vec<String>> {
    let mut flags = Vec::new();
    for (place, name) in stand_ins(checkout) {
        flags.push(format!("--remap-path-prefix={}={name}", place.display()));
    }
    let rustc = environment::variable("RUSTC").unwrap_or_else(|| "rustc".to_owned());
    let ask = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = std::process::Command::new(&rustc).args(arguments).output();
        Ok(String::from_utf8(
            output.context("rustc cannot be run")?.stdout,
        )?)
    };
    let version = ask(&["-vV"])?;
    let hash = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "));
    let sysroot = ask(&["--print", "sysroot"])?;
    flags.push(format!(
        "--remap-path-prefix={}/lib/rustlib/src/rust=/rustc/{}",
        sysroot.trim(),
        hash.unwrap_or("unknown")
    ));
    Ok(flags)
}

/// The same for what is written in C.
fn c_flags(checkout: &Checkout) -> Vec<String> {
    let given = environment::variable("CFLAGS");
    let mapped = stand_ins(checkout)
        .into_iter()
        .map(|(place, name)| format!("-ffile-prefix-map={}={name}", place.display()))
        .map(shell::word);
    given.into_iter().chain(mapped).collect()
}

/// The first of the directories whose name is in the program.
fn leak(bytes: &[u8], places: &[PathBuf]) -> anyhow::Result<Option<String>> {
    let names: Vec<String> = places
        .iter()
        .map(|place| regex::escape(&format!("{}/", place.display())))
        .collect();
    let any = regex::bytes::Regex::new(&names.join("|"))?;
    let found = any.find(bytes);
    Ok(found.map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_machine_is_found_and_others_are_not() {
        let places = [
            PathBuf::from("/home/a.b/taskhub"),
            PathBuf::from("/home/a.b/.cargo"),
        ];
        let found = |text: &str| leak(text.as_bytes(), &places).expect("an answer");
        assert_eq!(
            found("\0panicked at /home/a.b/.cargo/registry/x.rs\0"),
            Some("/home/a.b/.cargo/".to_owned())
        );
        assert_eq!(found("/cargo/registry/x.rs /home/axb/.cargo/x.rs"), None);
    }
}
