//! What stacks made, as the services know it.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::AlarmType;
use aws_sdk_ecr::types::{ImageDetail, ImageIdentifier};
use chrono::Utc;

use super::checks::Check;
use crate::{
    aws::{
        account::Account,
        errors::{code, explained},
        parameters, stacks,
    },
    contract::{HEALTH_PATH, Task, api_port},
    render::{bootstrap::REPOSITORY, template::Stack},
};

/// Renewed by AWS 60 days before its end; later than this, that has not worked.
const CERTIFICATE_DAYS: i64 = 30;

/// What ECR says of an image that is not there.
const IS_ABSENT: [&str; 2] = ["ImageNotFoundException", "RepositoryNotFoundException"];

/// As many as one request may ask for.
const ALARMS: usize = 100;

/// An image must be in the registry under its digest.
///
/// # Errors
/// Where AWS does not answer.
pub(crate) async fn image(account: &Account, digest: &str) -> anyhow::Result<Check> {
    let id = ImageIdentifier::builder().image_digest(digest).build();
    let is_absent = kept(account, id).await?.is_none();
    let wrong = is_absent.then(|| format!("is not in the repository {REPOSITORY}: push it"));
    Ok(Check::of(format!("image {digest}"), wrong))
}

/// The digest of the image with this tag, or nothing where there is none.
///
/// # Errors
/// Where AWS does not answer.
pub(crate) async fn tagged(account: &Account, tag: &str) -> anyhow::Result<Option<String>> {
    let id = ImageIdentifier::builder().image_tag(tag).build();
    let found = kept(account, id).await?;
    Ok(found.and_then(|image| image.image_digest))
}

/// What the repository has of it.
async fn kept(account: &Account, id: ImageIdentifier) -> anyhow::Result<Option<ImageDetail>> {
    let answer = aws_sdk_ecr::Client::new(&account.config)
        .describe_images()
        .repository_name(REPOSITORY)
        .image_ids(id)
        .send()
        .await;
    match answer {
        Ok(answer) => Ok(answer.image_details.unwrap_or_default().into_iter().next()),
        Err(error) if IS_ABSENT.contains(&code(&error).as_str()) => Ok(None),
        Err(error) => Err(explained("looking for an image", error)),
    }
}

/// The certificate, the log groups, the target group and the cluster.
///
/// # Errors
/// Where AWS does not answer.
pub(super) async fn platform(account: &Account) -> anyhow::Result<Vec<Check>> {
    let mut checks = vec![certificate(account).await?];
    checks.extend(log_groups(account).await?);
    checks.extend(target_group(account).await?);
    checks.push(cluster(account).await?);
    Ok(checks)
}

async fn certificate(account: &Account) -> anyhow::Result<Check> {
    let domain = &account.environment().domain.name;
    let what = format!("certificate of {domain}");
    let name = Stack::Platform.name(account.environment().name);
    let kind = "AWS::CertificateManager::Certificate";
    let arns = stacks::resources(account, &name, kind).await?;
    let Some(arn) = arns.first() else {
        return Ok(Check::wrong(
            what,
            "is not in the platform stack: deploy it",
        ));
    };
    let answer = aws_sdk_acm::Client::new(&account.config)
        .describe_certificate()
        .certificate_arn(arn)
        .send()
        .await
        .map_err(|error| explained("looking at the certificate", error))?;
    let Some(certificate) = answer.certificate else {
        return Ok(Check::wrong(
            what,
            "is not there: deploy the platform stack",
        ));
    };
    let status = certificate
        .status
        .as_ref()
        .map_or("", |status| status.as_str());
    if status != "ISSUED" {
        return Ok(Check::wrong(
            what,
            format!("is {status}: see that the hosted zone is the domain's own"),
        ));
    }
    let end = certificate.not_after.map(|end| end.secs());
    let days = end.map(|end| (end - Utc::now().timestamp()) / 86_400);
    let wrong = days.filter(|days| *days < CERTIFICATE_DAYS).map(|days| {
        format!(
            "ends in {days} days and was not renewed: its DNS record must be in the hosted zone"
        )
    });
    Ok(Check::of(what, wrong))
}

async fn log_groups(account: &Account) -> anyhow::Result<Vec<Check>> {
    let prefix = format!("/taskhub/{}/", account.environment().name);
    let answer = aws_sdk_cloudwatchlogs::Client::new(&account.config)
        .describe_log_groups()
        .log_group_name_prefix(&prefix)
        .send()
        .await
        .map_err(|error| explained("looking for log groups", error))?;
    let groups: Vec<String> = answer
        .log_groups
        .unwrap_or_default()
        .into_iter()
        .filter_map(|group| group.log_group_name)
        .collect();
    let checks = Task::ALL.map(|task| {
        let name = format!("{prefix}{}", task.name());
        let wrong = (!groups.contains(&name)).then(|| {
            "is not there, and no task starts without: deploy the platform stack".to_owned()
        });
        Check::of(format!("log group {name}"), wrong)
    });
    Ok(checks.into())
}

/// It must ask the container where the container answers.
async fn target_group(account: &Account) -> anyhow::Result<Vec<Check>> {
    let Some(arn) = parameters::kept(account, Stack::Platform, "target-group").await? else {
        return Ok(Vec::new());
    };
    let answer = aws_sdk_elasticloadbalancingv2::Client::new(&account.config)
        .describe_target_groups()
        .target_group_arns(&arn)
        .send()
        .await;
    let what = "target group";
    let group = match answer {
        Ok(answer) => answer.target_groups.unwrap_or_default().into_iter().next(),
        Err(error) if code(&error) == "TargetGroupNotFound" => None,
        Err(error) => return Err(explained("looking at the target group", error)),
    };
    let Some(group) = group else {
        return Ok(vec![Check::wrong(
            what,
            "is not there: deploy the platform stack",
        )]);
    };
    let port = i32::from(api_port());
    let path = group.health_check_path.unwrap_or_default();
    let wrong = if group.port != Some(port) {
        Some(format!("has another port than the API's {port}"))
    } else if path != HEALTH_PATH {
        Some(format!("asks {path}, and the API answers at {HEALTH_PATH}"))
    } else {
        None
    };
    Ok(vec![Check::of(what, wrong)])
}

async fn cluster(account: &Account) -> anyhow::Result<Check> {
    let name = format!("taskhub-{}", account.environment().name);
    let answer = aws_sdk_ecs::Client::new(&account.config)
        .describe_clusters()
        .clusters(&name)
        .send()
        .await
        .map_err(|error| explained("looking at the cluster", error))?;
    let cluster = answer.clusters.unwrap_or_default().into_iter().next();
    let status = cluster.and_then(|cluster| cluster.status);
    let wrong = match status.as_deref() {
        Some("ACTIVE") => None,
        Some(status) => Some(format!("is {status}")),
        None => Some("is not there: deploy the platform stack".to_owned()),
    };
    Ok(Check::of(format!("cluster {name}"), wrong))
}

/// Each service has tasks: of one that sleeps, no release can be proven.
///
/// # Errors
/// Where AWS does not answer.
pub(crate) async fn awake(account: &Account) -> anyhow::Result<Vec<Check>> {
    let cluster = format!("taskhub-{}", account.environment().name);
    let answer = aws_sdk_ecs::Client::new(&account.config)
        .describe_services()
        .cluster(&cluster)
        .services("api")
        .services("worker")
        .send()
        .await
        .map_err(|error| explained("looking at the services", error))?;
    let services = answer.services.unwrap_or_default().into_iter();
    let checks = services.map(|service| {
        let name = service.service_name.unwrap_or_default();
        let wrong = (service.desired_count == 0).then(|| {
            format!(
                "sleeps, and nothing could be proven of it: \
                 `aws ecs update-service --cluster {cluster} --service {name} --desired-count 1`"
            )
        });
        Check::of(format!("service {name}"), wrong)
    });
    Ok(checks.collect())
}

/// Each alarm of a stack is there and quiet: one that rings before a deployment cannot tell that the deployment is
/// at fault.
///
/// # Errors
/// Where AWS does not answer.
pub(crate) async fn alarms(
    account: &Account,
    stack: Stack,
    may_ring: bool,
) -> anyhow::Result<Vec<Check>> {
    let name = stack.name(account.environment().name);
    let names = stacks::resources(account, &name, "AWS::CloudWatch::Alarm").await?;
    let client = aws_sdk_cloudwatch::Client::new(&account.config);
    let mut states = BTreeMap::new();
    for page in names.chunks(ALARMS) {
        let answer = client
            .describe_alarms()
            .set_alarm_names(Some(page.to_vec()))
            .alarm_types(AlarmType::MetricAlarm)
            .send()
            .await
            .map_err(|error| explained("looking at alarms", error))?;
        for alarm in answer.metric_alarms.unwrap_or_default() {
            let state = alarm.state_value.map(|state| state.as_str().to_owned());
            states.insert(alarm.alarm_name.unwrap_or_default(), state);
        }
    }
    let checks = names.into_iter().map(|name| {
        let wrong = match states.get(&name) {
            None => Some(format!("is not there: deploy the {} stack", stack.as_str())),
            Some(Some(state)) if state == "ALARM" && !may_ring => {
                Some("rings: see to its cause, or say --alarms-known".to_owned())
            }
            Some(_) => None,
        };
        Check::of(format!("alarm {name}"), wrong)
    });
    Ok(checks.collect())
}
