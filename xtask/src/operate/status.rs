//! `cargo xtask status`: what runs, and what is under way.

use crate::aws::Access;

/// Show what runs and what is under way
///
/// The release that the services run, their tasks, the stacks' states, who deploys, and which alarms ring.
///
/// Example: cargo xtask status --env staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::aws;

    aws::wait(aws::until(signals, looking::look(&arguments.access)))?;
    Ok(std::process::ExitCode::SUCCESS)
}

#[cfg(feature = "aws")]
mod looking {
    use std::{collections::BTreeMap, io::Write};

    use serde::Serialize;

    use crate::{
        aws::{
            Access,
            account::Account,
            errors::explained,
            lock::{self, Holder},
            parameters,
            releases::{self, Release},
            stacks, tasks,
        },
        operate::{
            deploy::roll::SERVICES,
            verify::{checks::Check, resources},
        },
        progress::say,
        render::template::Stack,
    };

    #[derive(Serialize)]
    struct Status {
        environment: &'static str,
        /// By stack; absent where it is not there.
        stacks: BTreeMap<String, Option<String>>,
        services: Vec<ServiceStatus>,
        /// The newest, whatever came of it.
        release: Option<Release>,
        lock: Option<Holder>,
        alarms: Vec<String>,
    }

    #[derive(Serialize)]
    struct ServiceStatus {
        service: String,
        /// Family and revision.
        task_definition: String,
        running: i32,
        desired: i32,
        /// More than one while a release rolls.
        deployments: usize,
        /// As ECS calls it.
        rollout: String,
    }

    pub(super) async fn look(access: &Access) -> anyhow::Result<()> {
        let account = Account::open(access).await?;
        let name = account.environment().name;
        let mut status = Status {
            environment: name.as_str(),
            stacks: BTreeMap::new(),
            services: Vec::new(),
            release: None,
            lock: None,
            alarms: Vec::new(),
        };
        for (stack, _) in &account.rendered.stacks {
            let name = stack.name(name);
            let existing = stacks::describe(&account, &name).await?;
            status
                .stacks
                .insert(name, existing.map(|existing| existing.status));
        }
        if status.stacks[&Stack::Service.name(name)].is_some() {
            status.services = services(&account).await?;
            let alarms = resources::alarms(&account, Stack::Service, false).await?;
            status.alarms = alarms.iter().filter_map(Check::line).collect();
        }
        if let Some(bucket) = parameters::kept(&account, Stack::Bootstrap, "state-bucket").await? {
            status.release = releases::newest(&account, &bucket, 1)
                .await?
                .into_iter()
                .next();
            let held = lock::read(&account, &bucket).await?.map(|(held, _)| held);
            status.lock = held.filter(Holder::is_held);
        }
        if access.json {
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&status)?)?;
        }
        tell(&status);
        Ok(())
    }

    async fn services(account: &Account) -> anyhow::Result<Vec<ServiceStatus>> {
        let answer = aws_sdk_ecs::Client::new(&account.config)
            .describe_services()
            .cluster(format!("taskhub-{}", account.environment().name))
            .set_services(Some(SERVICES.map(str::to_owned).to_vec()))
            .send()
            .await
            .map_err(|error| explained("looking at the services", error))?;
        let services = answer.services.unwrap_or_default().into_iter();
        let services = services.map(|service| {
            let deployments = service.deployments.unwrap_or_default();
            let primary = deployments
                .iter()
                .find(|one| one.status.as_deref() == Some("PRIMARY"));
            let rollout = primary.and_then(|primary| primary.rollout_state.as_ref());
            ServiceStatus {
                service: service.service_name.unwrap_or_default(),
                task_definition: tasks::short(
                    service.task_definition.as_deref().unwrap_or_default(),
                )
                .to_owned(),
                running: service.running_count,
                desired: service.desired_count,
                deployments: deployments.len(),
                rollout: rollout.map_or("", |state| state.as_str()).to_owned(),
            }
        });
        Ok(services.collect())
    }

    fn tell(status: &Status) {
        match &status.release {
            Some(release) => say(format_args!("release  {}", release.line())),
            None => say("release  none yet"),
        }
        for service in &status.services {
            say(format_args!(
                "{:8} {} of {} tasks run {}, {}, {} deployments",
                service.service,
                service.running,
                service.desired,
                service.task_definition,
                service.rollout,
                service.deployments
            ));
        }
        for (stack, state) in &status.stacks {
            say(format_args!(
                "stack    {stack} {}",
                state.as_deref().unwrap_or("is not there")
            ));
        }
        match &status.lock {
            Some(held) => say(format_args!("lock     held by {}", held.describe())),
            None => say("lock     nobody holds it"),
        }
        for alarm in &status.alarms {
            say(format_args!("alarm    {alarm}"));
        }
    }
}
