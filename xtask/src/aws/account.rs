//! The account that an environment lives in, as whoever has the credentials.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::{Access, errors::explained};
use crate::{
    checkout::Checkout,
    environments::Environment,
    exit::{Exit, Failed},
    render::{self, Rendered},
};

/// One request, all its attempts together.
const PATIENCE: Duration = Duration::from_secs(60);

/// An environment with the way to its account.
pub(crate) struct Account {
    pub(crate) rendered: Rendered,
    pub(crate) config: SdkConfig,
    /// Twelve digits.
    pub(crate) id: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub(crate) partition: String,
    /// Who asks, as an ARN.
    pub(crate) caller: String,
}

impl Account {
    /// Reads the environment's file and asks AWS who asks.
    ///
    /// # Errors
    /// [`Exit::Usage`] where the file is wrong or the account is not its own, [`Exit::Denied`] where AWS knows no
    /// credentials.
    pub(crate) async fn open(access: &Access) -> anyhow::Result<Self> {
        let rendered = rendered(access)?;
        let config = loader(access, &rendered.environment.region).load().await;
        let client = aws_sdk_sts::Client::new(&config);
        let identity = client
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| explained("asking who asks", error))?;
        let id = identity.account.unwrap_or_default();
        let caller = identity.arn.unwrap_or_default();
        is_expected(&rendered.environment, &id, &caller)?;
        let partition = caller.split(':').nth(1).unwrap_or("aws").to_owned();
        Ok(Self {
            rendered,
            config,
            id,
            partition,
            caller,
        })
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.rendered.environment
    }

    /// The cluster of the environment's services.
    pub(crate) fn cluster(&self) -> String {
        format!("taskhub-{}", self.environment().name)
    }

    /// The role with which CloudFormation works on the environment's stacks.
    pub(crate) fn execution_role(&self) -> String {
        format!(
            "arn:{}:iam::{}:role/taskhub-cloudformation",
            self.partition, self.id
        )
    }
}

/// The environment from the checkout's files.
///
/// # Errors
/// [`Exit::Usage`] with everything that is wrong with them.
pub(crate) fn rendered(access: &Access) -> anyhow::Result<Rendered> {
    let checkout = Checkout::find()?;
    Environment::load(&checkout.root, access.environment)
        .and_then(render::render)
        .map_err(|error| Failed::because(Exit::Usage, format!("{error:#}")))
}

/// Credentials and `AWS_ENDPOINT_URL` as every AWS program finds them, with deadlines and with retries that are
/// spread at random.
pub(crate) fn loader(access: &Access, region: &str) -> ConfigLoader {
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(20))
        .operation_timeout(PATIENCE)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(6)
        .with_initial_backoff(Duration::from_millis(300));
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(https)
        .timeout_config(timeouts)
        .retry_config(retries);
    if let Some(profile) = &access.profile {
        loader = loader.profile_name(profile);
    }
    loader
}

/// Whether the environment may be in this account.
///
/// # Errors
/// [`Exit::Usage`] where its file names another one.
pub(crate) fn is_expected(environment: &Environment, id: &str, caller: &str) -> anyhow::Result<()> {
    match &environment.account {
        Some(account) if account != id => Err(Failed::because(
            Exit::Usage,
            format!(
                "{} belongs to account {account}, and {caller} is of {id}: choose other credentials with --profile",
                environment.name
            ),
        )),
        Some(_) | None => Ok(()),
    }
}
