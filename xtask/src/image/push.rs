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
    aws,
    checkout::Checkout,
    environment,
    environments::Name,
    exit::{Exit, Failed},
    progress,
};

/// Push the image that was built, tagged with its commit
///
/// Prints REPOSITORY@sha256:…, which is what deployments name. What the registry has is not sent again. A commit
/// that the registry has with another digest is refused, and so is an image of files that are in no commit.
/// With --env, the repository is that of the environment's account, and AWS is asked for a password that lasts for
/// twelve hours. With --to, credentials are given in `TASKHUB_REGISTRY_AUTH` as USER:PASSWORD, or with --username and
/// --password-stdin. Registries on this machine are spoken to without TLS.
///
/// Example: cargo xtask image push --env staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Registry and name, as HOST[:PORT]/NAME
    #[arg(long, value_name = "REPOSITORY", value_parser = Repository::parse, required_unless_present = "environment")]
    to: Option<Repository>,
    /// The environment whose account has the repository
    #[arg(long = "env", value_name = "NAME", value_parser = aws::environment, conflicts_with_all = ["to", "username"])]
    environment: Option<Name>,
    /// With --env, a profile of the AWS configuration files
    #[arg(long, value_name = "NAME", requires = "environment")]
    profile: Option<String>,
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
    #[cfg(not(feature = "aws"))]
    if arguments.environment.is_some() {
        return crate::with_signals(aws::program::start);
    }
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
    let (repository, credentials) = registry(arguments)?;
    let registry = Registry::new(repository.clone(), credentials, &tag)?;
    let pushed = registry.push(&layout)?;
    report(arguments, (&repository, &layout), &tag, &pushed)?;
    Ok(ExitCode::SUCCESS)
}

/// Where to, and as whom.
fn registry(arguments: &Arguments) -> anyhow::Result<(Repository, Credentials)> {
    #[cfg(feature = "aws")]
    if let Some(environment) = arguments.environment {
        let access = aws::Access {
            environment,
            profile: arguments.profile.clone(),
            json: arguments.json,
        };
        return aws::wait(super::ecr::repository(&access));
    }
    let to = arguments.to.clone().context("neither --to nor --env")?;
    Ok((to, credentials(arguments)?))
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
    (repository, layout): (&Repository, &Layout),
    tag: &str,
    pushed: &Pushed,
) -> anyhow::Result<()> {
    let digest = layout.manifest.digest().to_string();
    let image = format!("{repository}@{digest}");
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
