//! The account's own repository, and a password for it.

use anyhow::Context;
use aws_sdk_ecr::Client;
use base64::{Engine, prelude::BASE64_STANDARD};

use super::registry::{Credentials, Repository};
use crate::{
    aws::{
        Access,
        account::Account,
        errors::{code, explained},
    },
    exit::{Exit, Failed},
    render::bootstrap::REPOSITORY,
};

/// # Errors
/// [`Exit::Refused`] where the account has no repository yet, [`Exit::Denied`] where AWS gives no password.
pub(super) async fn repository(access: &Access) -> anyhow::Result<(Repository, Credentials)> {
    let account = Account::open(access).await?;
    let client = Client::new(&account.config);
    let answer = client
        .describe_repositories()
        .repository_names(REPOSITORY)
        .send()
        .await;
    let found = match answer {
        Ok(answer) => answer.repositories.unwrap_or_default().into_iter().next(),
        Err(error) if code(&error) == "RepositoryNotFoundException" => None,
        Err(error) => return Err(explained("looking for the repository", error)),
    };
    let address = found.and_then(|repository| repository.repository_uri);
    let address = address.ok_or_else(|| {
        let name = account.environment().name;
        let why = format!(
            "account {} has no repository {REPOSITORY} in {}: `cargo xtask bootstrap --env {name}` makes it",
            account.id,
            account.environment().region
        );
        Failed::because(Exit::Refused, why)
    })?;
    let repository = Repository::parse(&address)
        .map_err(|why| anyhow::anyhow!("ECR names the repository {address}: {why}"))?;
    Ok((repository, credentials(&client).await?))
}

/// `USER:PASSWORD`, in base 64.
async fn credentials(client: &Client) -> anyhow::Result<Credentials> {
    let answer = client
        .get_authorization_token()
        .send()
        .await
        .map_err(|error| explained("asking for a password of the repository", error))?;
    let given = answer
        .authorization_data
        .unwrap_or_default()
        .into_iter()
        .next();
    let token = given.and_then(|given| given.authorization_token);
    let decoded = BASE64_STANDARD.decode(token.context("ECR gives no password")?);
    // What cannot be read is not shown either.
    let text = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (user, password) = text
        .as_deref()
        .and_then(|text| text.split_once(':'))
        .context("ECR's password is not in the form that it should have")?;
    Ok(Credentials::Basic(user.to_owned(), password.to_owned()))
}
