//! Policies: who may assume a role, and what each role of an environment may do.

use serde::Serialize;
use serde_json::{Value, json};

use super::template::{Intrinsic, Template, reference, sub};
use crate::{
    contract::{SECRETS, Task},
    environments::Environment,
};

pub(crate) const VERSION: &str = "2012-10-17";

/// Lets a service of AWS assume a role, for resources of this account and kind alone.
pub(crate) fn trust(principal: &str, service: &str, resource: &str) -> Value {
    json!({
        "Version": VERSION,
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": principal},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")},
                "ArnLike": {"aws:SourceArn": arn(service, resource)},
            },
        }],
    })
}

/// An ARN of this account and region.
pub(crate) fn arn(service: &str, resource: &str) -> Intrinsic {
    sub(format!(
        "arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"
    ))
}

/// Fetches images. The token that it needs too is for a whole registry.
pub(crate) const PULL: &[&str] = &[
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
];

pub(crate) const READ_SECRET: &[&str] = &[
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
];

/// Allows actions on a resource, or on a list of them.
pub(crate) fn allow(actions: &[&str], resource: impl Serialize) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": resource})
}

/// The statement, where the condition holds.
pub(crate) fn when(mut statement: Value, condition: Value) -> Value {
    statement["Condition"] = condition;
    statement
}

pub(crate) fn policy(statements: Vec<Value>) -> Value {
    json!({"Version": VERSION, "Statement": statements})
}

/// What the platform stack's policies speak of.
pub(crate) struct Subjects {
    pub(crate) repository: Intrinsic,
    pub(crate) key: Intrinsic,
    /// ARNs, in the order of the contract's secrets.
    pub(crate) secrets: Vec<Intrinsic>,
}

/// A role of the platform stack.
pub(crate) struct Role {
    /// `api-task`, …
    pub(crate) name: String,
    pub(crate) policy: Value,
}

/// Every role that tasks have: one that ECS starts them with, and one that the program has itself.
pub(crate) fn task_roles(environment: &Environment, subjects: &Subjects) -> Vec<Role> {
    Task::ALL
        .into_iter()
        .flat_map(|task| {
            [
                Role {
                    name: format!("{}-execution", task.name()),
                    policy: execution(environment, task, subjects),
                },
                Role {
                    name: format!("{}-task", task.name()),
                    policy: program(task, subjects),
                },
            ]
        })
        .collect()
}

/// Fetches the image and writes logs; reads no secret.
fn execution(environment: &Environment, task: Task, subjects: &Subjects) -> Value {
    let group = format!("log-group:/taskhub/{}/{}:*", environment.name, task.name());
    policy(vec![
        // ECR gives a token for the whole registry or none.
        allow(&["ecr:GetAuthorizationToken"], "*"),
        allow(PULL, &subjects.repository),
        allow(
            &["logs:CreateLogStream", "logs:PutLogEvents"],
            arn("logs", &group),
        ),
    ])
}

/// Reads the secrets that the contract gives to `task`, and nothing else.
fn program(task: Task, subjects: &Subjects) -> Value {
    let secrets: Vec<&Intrinsic> = SECRETS
        .iter()
        .zip(&subjects.secrets)
        .filter(|(secret, _)| secret.given_to(task).is_some())
        .map(|(_, arn)| arn)
        .collect();
    let service = sub("secretsmanager.${AWS::Region}.${AWS::URLSuffix}");
    policy(vec![
        allow(READ_SECRET, secrets),
        when(
            allow(&["kms:Decrypt"], &subjects.key),
            json!({"StringEquals": {"kms:ViaService": service}}),
        ),
    ])
}

/// Adds a role that ECS tasks have.
pub(crate) fn add_task_role(
    template: &mut Template,
    environment: &Environment,
    boundary: &Intrinsic,
    role: &Role,
) {
    template.add(
        role_id(&role.name),
        "AWS::IAM::Role",
        json!({
            "RoleName": format!("taskhub-{}-{}", environment.name, role.name),
            "PermissionsBoundary": boundary,
            "AssumeRolePolicyDocument": trust("ecs-tasks.amazonaws.com", "ecs", "*"),
            "Policies": [{"PolicyName": "taskhub", "PolicyDocument": role.policy}],
        }),
    );
}

/// Of the role in the platform stack: `api-task` → `ApiTaskRole`.
pub(crate) fn role_id(name: &str) -> String {
    format!("{}Role", super::template::title(name))
}
