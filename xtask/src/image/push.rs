//! `cargo xtask image push`: the image to a registry, by its digest.

use std::{
    io::{Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use serde_json::json;

use super::{
    build::megabytes,
    commit::DIRTY,
    layout::Layout,
    registry::{Credentials, Pushed, Registry, Repository},
};
use crate::{
    checkout::Checkout,
    environment,
    exit::{Exit, Failed},
    progress,
};

/// Push the image that was built, tagged with its commit
///
/// Prints REPOSITORY@sha256:…, which is what deployments name. What the registry has is not sent again. A commit
/// that the registry has with another digest is refused, and so is an image of files that are in no commit.
/// Registries on this machine are spoken to without TLS. Credentials are given in `TASKHUB_REGISTRY_AUTH` as
/// USER:PASSWORD, or as below.
///
/// Example: aws ecr get-login-password |
///   cargo xtask image push --to 123456789012.dkr.ecr.eu-west-1.amazonaws.com/taskhub --username AWS --password-stdin
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Registry and name, as HOST[:PORT]/NAME
    #[arg(long, value_name = "REPOSITORY", value_parser = Repository::parse)]
    to: Repository,
    /// The folder that `image build` was given as --output; target/image unless given
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Whom the registry knows
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let from = match &arguments.from {
        Some(folder) => folder.clone(),
        None => Checkout::find()?.target.join("image"),
    };
    let layout = Layout::open(&from.join("oci"))
        .map_err(|error| error.context("make an image first: cargo xtask image build"))?;
    let tag = layout.revision()?;
    if tag.ends_with(DIRTY) {
        let why =
            "the image was built from files that are in no commit: commit them and build it again";
        return Err(Failed::because(Exit::Refused, why));
    }
    let registry = Registry::new(arguments.to.clone(), credentials(arguments)?, &tag)?;
    let pushed = registry.push(&layout)?;
    report(arguments, &layout, &tag, &pushed)?;
    Ok(ExitCode::SUCCESS)
}

fn credentials(arguments: &Arguments) -> anyhow::Result<Credentials> {
    if let Some(user) = &arguments.username {
        let mut password = String::new();
        std::io::stdin()
            .read_to_string(&mut password)
            .context("the password cannot be read")?;
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        return Ok(Credentials::Basic(user.clone(), password));
    }
    let Some(given) = environment::variable("TASKHUB_REGISTRY_AUTH") else {
        return Ok(Credentials::Anonymous);
    };
    let Some((user, password)) = given.split_once(':') else {
        let why = "TASKHUB_REGISTRY_AUTH is not USER:PASSWORD";
        return Err(Failed::because(Exit::Usage, why));
    };
    Ok(Credentials::Basic(user.to_owned(), password.to_owned()))
}

fn report(
    arguments: &Arguments,
    layout: &Layout,
    tag: &str,
    pushed: &Pushed,
) -> anyhow::Result<()> {
    let digest = layout.manifest.digest().to_string();
    let image = format!("{}@{digest}", arguments.to);
    progress::say(format_args!(
        "            {} sent, {} were there",
        megabytes(pushed.sent),
        megabytes(pushed.there)
    ));
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let answer = json!({
            "image": image,
            "digest": digest,
            "tag": tag,
            "sent_bytes": pushed.sent,
            "present_bytes": pushed.there,
        });
        writeln!(out, "{answer}")?;
    } else {
        writeln!(out, "{image}")?;
    }
    Ok(())
}
