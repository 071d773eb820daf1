//! What a change of one resource does to those who use the service.

use serde::Serialize;

use crate::render::template::Stack;

/// From harmless to fatal.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Risk {
    /// Nobody notices.
    None,
    /// Tasks are replaced one by one, or a server restarts.
    Restart,
    /// The database or the cache is away for a minute.
    Failover,
    /// The resource is removed, or another one takes its place.
    Replace,
    /// What it holds is gone with it.
    DataLoss,
}

impl Risk {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restart => "restart",
            Self::Failover => "failover",
            Self::Replace => "replace",
            Self::DataLoss => "data loss",
        }
    }
}

/// Whether another resource takes the place of the one that is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Replacement {
    No,
    /// CloudFormation knows only when it does it.
    Perhaps,
    Yes,
}

impl Replacement {
    /// From CloudFormation's word for it.
    pub(crate) fn of(said: &str) -> Self {
        match said {
            "True" => Self::Yes,
            "Conditional" => Self::Perhaps,
            _ => Self::No,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Perhaps => "perhaps",
            Self::Yes => "yes",
        }
    }
}

/// One resource's change, in CloudFormation's words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Change {
    /// The logical id.
    pub(crate) resource: String,
    /// `AWS::RDS::DBInstance`
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// `Add`, `Modify`, `Remove`, …
    pub(crate) action: String,
    pub(crate) replacement: Replacement,
    /// The properties that change, where CloudFormation tells.
    pub(crate) properties: Vec<String>,
}

/// Types whose content nothing brings back.
const HOLD_DATA: &[&str] = &[
    "AWS::Backup::BackupVault",
    "AWS::ECR::Repository",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
];

/// Types of the data stack that only look at it.
const WATCH: &[&str] = &["AWS::CloudWatch::Alarm", "AWS::RDS::EventSubscription"];

/// What a server does not take in while it runs (Amazon RDS and ElastiCache user guides, "Modifying").
const FAILOVER: &[(&str, &[&str])] = &[
    (
        "AWS::RDS::DBInstance",
        &[
            "AllowMajorVersionUpgrade",
            "CACertificateIdentifier",
            "DBInstanceClass",
            "DBParameterGroupName",
            "EngineVersion",
            "MultiAZ",
            "Port",
            "StorageType",
        ],
    ),
    (
        "AWS::ElastiCache::ReplicationGroup",
        &[
            "AutomaticFailoverEnabled",
            "CacheNodeType",
            "CacheParameterGroupName",
            "EngineVersion",
            "NumCacheClusters",
        ],
    ),
];

/// What starts new tasks.
const RESTART: &[&str] = &[
    "CapacityProviderStrategy",
    "LoadBalancers",
    "NetworkConfiguration",
    "PlatformVersion",
    "TaskDefinition",
];

impl Change {
    pub(crate) fn risk(&self) -> Risk {
        let holds_data = HOLD_DATA.contains(&self.kind.as_str());
        let goes = self.action == "Remove" || self.replacement == Replacement::Yes;
        match (self.action.as_str(), self.kind.as_str()) {
            ("Add" | "Import", _) => Risk::None,
            // A new revision beside the old one; the services go over to it.
            (_, "AWS::ECS::TaskDefinition") => Risk::Restart,
            _ if goes && holds_data => Risk::DataLoss,
            _ if goes => Risk::Replace,
            _ if self.replacement == Replacement::Perhaps => Risk::Replace,
            (_, "AWS::ECS::Service") if self.touches(RESTART) => Risk::Restart,
            (_, kind) => {
                let properties = FAILOVER.iter().find(|(name, _)| *name == kind);
                match properties {
                    Some((_, properties)) if self.touches(properties) => Risk::Failover,
                    Some(_) | None => Risk::None,
                }
            }
        }
    }

    /// Where CloudFormation names no property, it may be any.
    fn touches(&self, properties: &[&str]) -> bool {
        self.properties.is_empty()
            || self
                .properties
                .iter()
                .any(|property| properties.contains(&property.as_str()))
    }

    /// Why no verb of ours does this, if so.
    pub(crate) fn refusal(&self, stack: Stack) -> Option<String> {
        let risk = self.risk();
        let is_guarded = match stack {
            Stack::Data => risk >= Risk::Replace && !WATCH.contains(&self.kind.as_str()),
            Stack::Platform => {
                risk >= Risk::Replace && self.kind == "AWS::ElasticLoadBalancingV2::LoadBalancer"
            }
            Stack::Bootstrap | Stack::Network | Stack::Migrate | Stack::Service => {
                risk == Risk::DataLoss
            }
        };
        // What is only perhaps replaced, the stack policy keeps from being so.
        let is_certain = self.replacement != Replacement::Perhaps;
        (is_guarded && is_certain).then(|| {
            let does = if self.action == "Remove" {
                "removes"
            } else {
                "replaces"
            };
            format!(
                "{} {does} {} ({}): {}",
                stack.as_str(),
                self.resource,
                self.kind,
                risk.as_str()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, action: &str, replacement: Replacement, properties: &[&str]) -> Change {
        Change {
            resource: "It".to_owned(),
            kind: kind.to_owned(),
            action: action.to_owned(),
            replacement,
            properties: properties.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_risk_has_its_cause() {
        use Replacement::{No, Perhaps, Yes};
        const DATABASE: &str = "AWS::RDS::DBInstance";
        const SERVICE: &str = "AWS::ECS::Service";
        let cases: &[(&str, &str, Replacement, &[&str], Risk)] = &[
            (DATABASE, "Add", No, &[], Risk::None),
            (
                DATABASE,
                "Modify",
                No,
                &["BackupRetentionPeriod"],
                Risk::None,
            ),
            (DATABASE, "Modify", No, &["DBInstanceClass"], Risk::Failover),
            (DATABASE, "Modify", No, &[], Risk::Failover),
            (
                DATABASE,
                "Modify",
                Perhaps,
                &["DBSubnetGroupName"],
                Risk::Replace,
            ),
            (DATABASE, "Modify", Yes, &["Engine"], Risk::DataLoss),
            (DATABASE, "Remove", No, &[], Risk::DataLoss),
            ("AWS::EC2::Subnet", "Remove", No, &[], Risk::Replace),
            (
                "AWS::EC2::Subnet",
                "Modify",
                Yes,
                &["CidrBlock"],
                Risk::Replace,
            ),
            (
                "AWS::ECS::TaskDefinition",
                "Modify",
                Yes,
                &["Cpu"],
                Risk::Restart,
            ),
            (SERVICE, "Modify", No, &["TaskDefinition"], Risk::Restart),
            (
                SERVICE,
                "Modify",
                No,
                &["DeploymentConfiguration"],
                Risk::None,
            ),
            (
                "AWS::CloudWatch::Alarm",
                "Modify",
                No,
                &["Threshold"],
                Risk::None,
            ),
        ];
        for (kind, action, replacement, properties, risk) in cases {
            let change = change(kind, action, *replacement, properties);
            assert_eq!(change.risk(), *risk, "{change:?}");
        }
    }

    #[test]
    fn what_holds_data_is_never_replaced_or_removed() {
        let replaced = change(
            "AWS::RDS::DBInstance",
            "Modify",
            Replacement::Yes,
            &["Engine"],
        );
        let refusal = replaced.refusal(Stack::Data).expect("a refusal");
        assert_eq!(
            refusal,
            "data replaces It (AWS::RDS::DBInstance): data loss"
        );
        let removed = change("AWS::S3::Bucket", "Remove", Replacement::No, &[]);
        assert!(removed.refusal(Stack::Bootstrap).is_some());
        let alarm = change(WATCH[0], "Remove", Replacement::No, &[]);
        assert!(alarm.refusal(Stack::Data).is_none());
        let subnet = change("AWS::EC2::Subnet", "Remove", Replacement::No, &[]);
        assert!(subnet.refusal(Stack::Data).is_some());
        assert!(subnet.refusal(Stack::Network).is_none());
        let balancer = "AWS::ElasticLoadBalancingV2::LoadBalancer";
        let balancer = change(balancer, "Modify", Replacement::Yes, &["Scheme"]);
        assert!(balancer.refusal(Stack::Platform).is_some());
    }

    #[test]
    fn words_of_cloudformation_are_understood() {
        let words = ["True", "Conditional", "False"].map(Replacement::of);
        assert_eq!(words.map(Replacement::as_str), ["yes", "perhaps", "no"]);
    }
}
