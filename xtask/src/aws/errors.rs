//! What AWS answered instead of doing it.

use std::{error::Error, iter};

use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

use crate::exit::{Exit, Failed};

/// Codes with which services refuse whoever asks, not what is asked.
const DENIALS: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// The error as an operator reads it: what was tried, what AWS says to it.
pub(crate) fn explained<E>(tried: &str, error: SdkError<E>) -> anyhow::Error
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let code = code(&error);
    if DENIALS.contains(&code.as_str()) {
        let said = message(&error);
        return Failed::because(
            Exit::Denied,
            format!("{tried}: AWS refuses these credentials, {code}: {said}"),
        );
    }
    if is_without_credentials(&error) {
        return Failed::because(
            Exit::Denied,
            format!(
                "{tried}: there are no credentials for AWS. Sign in (`aws sso login`), name a profile with --profile, \
                 or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `cargo xtask doctor` shows what is found"
            ),
        );
    }
    if code.is_empty() {
        return anyhow::anyhow!("{tried}: AWS is not reached: {}", root(&error));
    }
    anyhow::anyhow!("{tried}: {code}: {}", message(&error))
}

/// The service's code for what is wrong; empty where no service answered.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    error.code().unwrap_or_default().to_owned()
}

/// What the service says.
pub(crate) fn message<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    error.message().unwrap_or("without a reason").to_owned()
}

fn is_without_credentials<E: Error + 'static>(error: &SdkError<E>) -> bool {
    causes(error).any(|cause| cause.to_string().contains("credentials"))
}

fn root<E: Error + 'static>(error: &SdkError<E>) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes<E: Error + 'static>(error: &SdkError<E>) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(Error::source(error), |&error| error.source())
}
