//! Credentials, account, region and clock, as AWS sees them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_sdk_sts::{
    config::{
        ConfigBag, Intercept, ProvideCredentials, RuntimeComponents,
        interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use chrono::{DateTime, TimeDelta, Utc};

use super::Finding;
use crate::{
    aws::{
        Access,
        account::{is_expected, loader, rendered},
        errors::explained,
    },
    environments::Environment,
    exit::{self, Exit},
};

/// AWS refuses requests whose clock is more than five minutes off.
const SKEW: TimeDelta = TimeDelta::minutes(4);

/// Asks AWS who asks, and learns the rest from its answer.
///
/// # Errors
/// Where the environment's file is wrong.
pub(super) async fn findings(access: &Access) -> anyhow::Result<Vec<Finding>> {
    let environment = rendered(access)?.environment;
    let config = loader(access, &environment.region).load().await;
    let mut findings = vec![credentials(&config, &environment).await];
    findings.extend(identity(&config, &environment).await);
    Ok(findings)
}

fn finding(what: &'static str, found: String, fix: Option<String>) -> Finding {
    Finding {
        what,
        found,
        fix,
        is_optional: false,
        is_access: false,
    }
}

/// They should outlive a deployment.
async fn credentials(config: &SdkConfig, environment: &Environment) -> Finding {
    const SIGN_IN: &str = "sign in with `aws sso login`, or name a profile with --profile";
    let refused = |found: String| Finding {
        is_access: true,
        ..finding("credentials", found, Some(SIGN_IN.to_owned()))
    };
    let Some(provider) = config.credentials_provider() else {
        return refused("none".to_owned());
    };
    let credentials = match provider.provide_credentials().await {
        Ok(credentials) => credentials,
        Err(error) => return refused(format!("none: {error}")),
    };
    let Some(expiry) = credentials.expiry() else {
        return finding("credentials", "do not expire".to_owned(), None);
    };
    let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
    let needed = Duration::from_secs(u64::from(environment.deploy.timeout));
    let found = format!("end in {} minutes", left.as_secs() / 60);
    let fix = (left < needed).then(|| {
        let minutes = needed.as_secs() / 60;
        format!("a deployment may take {minutes} minutes: {SIGN_IN}")
    });
    Finding {
        is_access: left.is_zero(),
        ..finding("credentials", found, fix)
    }
}

async fn identity(config: &SdkConfig, environment: &Environment) -> Vec<Finding> {
    let clock = Clock::default();
    let answer = aws_sdk_sts::Client::new(config)
        .get_caller_identity()
        .customize()
        .interceptor(clock.clone())
        .send()
        .await;
    let region = finding("region", environment.region.clone(), None);
    let mut findings = vec![region];
    findings.extend(clock.finding());
    match answer {
        Ok(identity) => {
            let id = identity.account.unwrap_or_default();
            let caller = identity.arn.unwrap_or_default();
            let fix = is_expected(environment, &id, &caller).err();
            let fix = fix.map(|error| format!("{error:#}"));
            findings.push(finding("account", format!("{id}, as {caller}"), fix));
        }
        Err(error) => {
            let error = explained("asking AWS who asks", error);
            findings.push(Finding {
                is_access: exit::of(&error) == Exit::Denied,
                ..finding("account", "unknown".to_owned(), Some(format!("{error:#}")))
            });
        }
    }
    findings
}

/// What AWS's answer says the time is.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<Mutex<Option<TimeDelta>>>);

impl Clock {
    /// Nothing where AWS did not answer.
    fn finding(&self) -> Option<Finding> {
        let ahead = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let seconds = ahead.num_seconds();
        let fix = (ahead.abs() > SKEW).then(|| {
            "AWS refuses requests that are five minutes off: set the clock, `timedatectl set-ntp true`".to_owned()
        });
        Some(finding("clock", format!("{seconds:+} s against AWS"), fix))
    }
}

impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let ahead = date.map(|date| Utc::now().signed_duration_since(date));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
        Ok(())
    }
}
