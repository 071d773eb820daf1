//! `cargo xtask workflows`: what GitHub does with a change, and with what was merged.

mod actions;
mod ci;
mod compose;
mod deploy;
mod model;
mod stands;
mod steps;

use std::{fs, io::Write, path::Path, process::ExitCode};

use anyhow::{Context, ensure};
use serde_json::json;

use self::model::Workflow;
use crate::{
    checkout::Checkout,
    environments::{Arch, Environment, Name},
    exit::Exit,
    progress,
    render::{self, Files},
    signals::Signals,
};

/// Write `.github/workflows`
///
/// CI, and the deployment of what was merged: to staging at once, to production once somebody has approved it.
/// Regions and processors come from infra/environments. Exit code 4 with --check where a file is stale.
///
/// Example: cargo xtask workflows --check
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Change nothing; show what differs, and fail where something does
    #[arg(long)]
    check: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Where GitHub looks for them.
pub(crate) const FOLDER: &str = ".github/workflows";

const HEAD: &str = "# Written by `cargo xtask workflows`, which says why in xtask/src/workflows. Changes here are lost.\n";

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let fresh = files(&checkout.root)?;
    let kept = kept(&checkout.root, &fresh);
    let changed = render::changed(&kept, &fresh);
    if arguments.json {
        let whole = json!({"files": fresh.len(), "changed": changed, "written": !arguments.check});
        writeln!(std::io::stdout(), "{whole}")?;
    }
    if !arguments.check {
        render::write(&checkout.root, &kept, &fresh)?;
        progress::say(format_args!(
            "{} files are written, {} of them changed",
            fresh.len(),
            changed.len()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    for path in &changed {
        progress::say(render::diff(path, &kept, &fresh).trim_end());
    }
    Ok(if changed.is_empty() {
        ExitCode::SUCCESS
    } else {
        progress::say("run `cargo xtask workflows` and commit what it writes");
        Exit::Differs.into()
    })
}

/// For `cargo xtask ci`: shows every difference.
pub(crate) fn is_up_to_date(checkout: &Checkout, _: &Signals) -> anyhow::Result<bool> {
    let fresh = files(&checkout.root)?;
    let kept = kept(&checkout.root, &fresh);
    let changed = render::changed(&kept, &fresh);
    for path in &changed {
        progress::say(render::diff(path, &kept, &fresh).trim_end());
    }
    Ok(changed.is_empty())
}

fn files(root: &Path) -> anyhow::Result<Files> {
    let environments = Name::ALL
        .map(|name| Environment::load(root, name))
        .into_iter()
        .collect::<anyhow::Result<Vec<Environment>>>()?;
    let folder = Path::new(FOLDER);
    Ok(Files::from([
        (folder.join("ci.yml"), text(&ci::workflow(&environments))?),
        (
            folder.join("deploy.yml"),
            text(&deploy::workflow(&environments, processor(&environments)?))?,
        ),
    ]))
}

/// Files beside ours are somebody else's.
fn kept(root: &Path, fresh: &Files) -> Files {
    let read =
        |path: &std::path::PathBuf| Some((path.clone(), fs::read_to_string(root.join(path)).ok()?));
    fresh.keys().filter_map(read).collect()
}

/// That of every environment: one image goes to all of them.
fn processor(environments: &[Environment]) -> anyhow::Result<Arch> {
    let first = environments.first().context("there are environments")?;
    let arch = first.images.arch;
    ensure!(
        environments.iter().all(|other| other.images.arch == arch),
        "environments differ in images.arch, and one image goes to all of them"
    );
    Ok(arch)
}

/// GitHub's own machine of that processor, where nothing is emulated.
fn runner(arch: Arch) -> &'static str {
    match arch {
        Arch::Arm64 => "ubuntu-24.04-arm",
        Arch::X86_64 => "ubuntu-24.04",
    }
}

fn text(workflow: &Workflow) -> anyhow::Result<String> {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: false,
        folded_wrap_chars: 1000,
    };
    Ok(format!(
        "{HEAD}{}",
        serde_saphyr::to_string_with_options(workflow, options)?
    ))
}

#[cfg(test)]
mod tests;
