//! `cargo xtask plan`: what a deployment would change, and nothing is changed.

#[cfg(feature = "aws")]
pub(crate) mod asking;
#[cfg(feature = "aws")]
pub(crate) mod report;
#[cfg(feature = "aws")]
mod words;

use crate::aws::Access;

/// Show what a deployment would change, without changing anything
///
/// Every stack's change set is made, read and taken away again: each resource that changes, whether another one takes
/// its place, what that does to those who use the service, and what a month costs more. A stack that is not there yet
/// is read from its template. What replaces or removes something in the data stack is refused with exit code 3.
///
/// Example: cargo xtask plan --env staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// The image's digest, sha256:…; the one that runs unless given
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    image: Option<String>,
    /// End with exit code 4 where something would change
    #[arg(long)]
    detailed_exitcode: bool,
}

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    let is_digest = digits.len() == 64
        && digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_digest {
        Ok(text.to_owned())
    } else {
        Err(
            "a digest is sha256: and 64 hexadecimal digits; a tag can move and is not taken"
                .to_owned(),
        )
    }
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::{aws, aws::account::Account, exit::Exit};

    let plan = aws::wait(async {
        let opening = Account::open(&arguments.access);
        let account = aws::until(signals, opening).await?;
        asking::plan(&account, arguments.image.as_deref(), signals).await
    })?;
    report::show(&plan, arguments.access.json)?;
    if !plan.refused.is_empty() {
        return Ok(Exit::Refused.into());
    }
    if arguments.detailed_exitcode && plan.changes() > 0 {
        return Ok(Exit::Differs.into());
    }
    Ok(std::process::ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_digest_names_an_image() {
        let real = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(digest(&real), Ok(real.clone()));
        for wrong in ["latest", "sha256:0a", &real.to_uppercase(), &real[7..]] {
            assert!(digest(wrong).is_err(), "{wrong}");
        }
    }
}
