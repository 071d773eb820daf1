//! A service's scaling, as Application Auto Scaling has it.

use aws_sdk_applicationautoscaling::{
    Client,
    types::{ScalableDimension, ScalableTargetAction, ServiceNamespace},
};
use chrono::{DateTime, Utc};

use super::remembered::Bounds;
use crate::{
    aws::{
        account::Account,
        errors::{code, explained},
    },
    contract::Task,
    exit::{Exit, Failed},
};

/// The scheduled action that puts the former numbers back.
const ACTION: &str = "taskhub-scale-back";

pub(super) struct Target<'a> {
    account: &'a Account,
    client: Client,
    /// `service/<cluster>/<service>`
    resource: String,
}

impl<'a> Target<'a> {
    pub(super) fn of(account: &'a Account, service: Task) -> Self {
        Self {
            account,
            client: Client::new(&account.config),
            resource: format!("service/{}/{}", account.cluster(), service.name()),
        }
    }

    /// # Errors
    /// [`Exit::Refused`] where the service was never deployed.
    pub(super) async fn bounds(&self) -> anyhow::Result<Bounds> {
        let answer = self
            .client
            .describe_scalable_targets()
            .service_namespace(ServiceNamespace::Ecs)
            .resource_ids(&self.resource)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .send()
            .await
            .map_err(|error| explained("looking at the scaling", error))?;
        let target = answer
            .scalable_targets
            .unwrap_or_default()
            .into_iter()
            .next();
        let target = target.ok_or_else(|| {
            let name = self.account.environment().name;
            let why = format!(
                "{} has no scaling yet: `cargo xtask deploy --env {name}`",
                self.resource
            );
            Failed::because(Exit::Refused, why)
        })?;
        Ok(Bounds {
            min: target.min_capacity,
            max: target.max_capacity,
        })
    }

    /// # Errors
    /// Where AWS does not take it.
    pub(super) async fn set(&self, bounds: Bounds) -> anyhow::Result<()> {
        self.client
            .register_scalable_target()
            .service_namespace(ServiceNamespace::Ecs)
            .resource_id(&self.resource)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .min_capacity(bounds.min)
            .max_capacity(bounds.max)
            .send()
            .await
            .map_err(|error| explained("setting the scaling", error))?;
        Ok(())
    }

    /// AWS sets `bounds` at that time, to the second. There is one such order for each service.
    ///
    /// # Errors
    /// Where AWS does not take it.
    pub(super) async fn set_at(&self, bounds: Bounds, time: DateTime<Utc>) -> anyhow::Result<()> {
        let action = ScalableTargetAction::builder()
            .min_capacity(bounds.min)
            .max_capacity(bounds.max);
        self.client
            .put_scheduled_action()
            .service_namespace(ServiceNamespace::Ecs)
            .resource_id(&self.resource)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .scheduled_action_name(ACTION)
            .schedule(format!("at({})", time.format("%Y-%m-%dT%H:%M:%S")))
            .timezone("UTC")
            .scalable_target_action(action.build())
            .send()
            .await
            .map_err(|error| explained("scheduling the way back", error))?;
        Ok(())
    }

    /// Takes that order away; one that is not there is no error.
    ///
    /// # Errors
    /// Where AWS does not take it.
    pub(super) async fn forget(&self) -> anyhow::Result<()> {
        let answer = self
            .client
            .delete_scheduled_action()
            .service_namespace(ServiceNamespace::Ecs)
            .resource_id(&self.resource)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .scheduled_action_name(ACTION)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == "ObjectNotFoundException" => Ok(()),
            Err(error) => Err(explained("taking the scheduled way back away", error)),
        }
    }
}
