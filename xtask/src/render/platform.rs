//! The platform stack: what services run on and are reached through. A release never changes it.

mod dashboard;
mod firewall;
mod load_balancer;
mod logs;
mod watching;

use serde_json::json;

pub(crate) use logs::{group, namespace};

use super::{
    iam::{self, Subjects},
    template::{Intrinsic, Stack, Template, attribute, reference},
};
use crate::{contract::SECRETS, environments::Environment};

/// What other stacks lend.
struct Imports {
    key: Intrinsic,
    topic: Intrinsic,
    log_bucket: Intrinsic,
    vpc: Intrinsic,
    subnets: Intrinsic,
    group: Intrinsic,
}

pub(crate) fn stack(environment: &Environment) -> Template {
    let mut template = Template::new(
        Stack::Platform,
        Some(environment.name),
        "cluster, load balancer, roles, logs and alarms",
    );
    let imports = Imports {
        key: template.import(Stack::Bootstrap, "key-arn"),
        topic: template.import(Stack::Bootstrap, "topic-arn"),
        log_bucket: template.import(Stack::Bootstrap, "log-bucket"),
        vpc: template.import(Stack::Network, "vpc"),
        subnets: template.import(Stack::Network, "public-subnets"),
        group: template.import(Stack::Network, "load-balancer-security-group"),
    };
    cluster(&mut template, environment);
    logs::add(&mut template, environment, &imports);
    load_balancer::add(&mut template, environment, &imports);
    if environment.edge.waf {
        firewall::add(&mut template, environment, &imports);
    }
    roles(&mut template, environment);
    watching::add(&mut template, environment, &imports);
    dashboard::add(&mut template, environment);
    exports(&mut template);
    template
}

fn cluster(template: &mut Template, environment: &Environment) {
    template.add(
        "Cluster",
        "AWS::ECS::Cluster",
        json!({
            "ClusterName": format!("taskhub-{}", environment.name),
            "ClusterSettings": [{"Name": "containerInsights", "Value": "enhanced"}],
            "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}],
        }),
    );
}

/// What the roles of this environment's tasks may do.
pub(crate) fn subjects(template: &mut Template) -> Subjects {
    Subjects {
        repository: template.import(Stack::Bootstrap, "repository-arn"),
        key: template.import(Stack::Bootstrap, "key-arn"),
        secrets: SECRETS
            .iter()
            .map(|secret| template.import(Stack::Data, &secret.parameter()))
            .collect(),
    }
}

fn roles(template: &mut Template, environment: &Environment) {
    let subjects = subjects(template);
    let boundary = template.import(Stack::Bootstrap, "boundary-arn");
    for role in iam::task_roles(environment, &subjects) {
        iam::add_task_role(template, environment, &boundary, &role);
        let arn = attribute(iam::role_id(&role.name), "Arn");
        template.export(&format!("{}-role", role.name), &arn);
    }
}

fn exports(template: &mut Template) {
    template.export("cluster", &reference("Cluster"));
    template.export("target-group", &reference("TargetGroup"));
    template.export(
        "target-group-name",
        &attribute("TargetGroup", "TargetGroupFullName"),
    );
    template.export(
        "load-balancer-name",
        &attribute("LoadBalancer", "LoadBalancerFullName"),
    );
}
