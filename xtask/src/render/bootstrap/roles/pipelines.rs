//! What GitHub's workflows may do: plan from a pull request, deploy from an environment's approved run. They come
//! with a token of the run, never with a key.

use serde_json::{Value, json};

use super::{READ_LOGS, allow, iam_arn, pass, state, when};
use crate::{
    environments::Name,
    render::{
        bootstrap::GITHUB,
        iam::{PULL, arn, policy},
        template::{Intrinsic, Template, attribute, reference, sub, title},
    },
};

pub(super) fn add(template: &mut Template) {
    plan(template);
    for name in Name::ALL {
        deploy(template, name);
    }
}

fn role(template: &mut Template, name: &str, subject: &str, statements: Vec<Value>) {
    let provider = Intrinsic::If(
        "HasProvider",
        Box::new(json!(reference("GitHubProviderArn"))),
        Box::new(json!(reference("GitHubProvider"))),
    );
    let trust = policy(vec![json!({
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {
            "token.actions.githubusercontent.com:aud": sub("sts.${AWS::URLSuffix}"),
            "token.actions.githubusercontent.com:sub": sub(format!("repo:${{{GITHUB}}}:{subject}")),
        }},
    })]);
    template
        .add(
            format!("{}Role", title(name)),
            "AWS::IAM::Role",
            json!({
                "RoleName": format!("taskhub-{name}"),
                "AssumeRolePolicyDocument": trust,
                "ManagedPolicyArns": [reference("ReadPolicy")],
                "Policies": [{"PolicyName": "taskhub", "PolicyDocument": policy(statements)}],
            }),
        )
        .only_if("HasGitHub");
}

/// Change sets are made, looked at and thrown away.
fn plan(template: &mut Template) {
    const PLAN: &[&str] = &[
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
    ];
    let statements = vec![allow(PLAN, Name::ALL.map(stacks)), pass_to_cloudformation()];
    role(template, "plan", "pull_request", statements);
}

fn deploy(template: &mut Template, name: Name) {
    let mut statements = Vec::from(change_stacks(name));
    statements.extend(run_tasks(name));
    statements.push(scale());
    statements.extend(keep_state(name));
    statements.extend(push_images());
    role(
        template,
        &format!("deploy-{name}"),
        &format!("environment:{name}"),
        statements,
    );
}

fn change_stacks(name: Name) -> [Value; 4] {
    const CHANGE: &[&str] = &[
        "cloudformation:CancelUpdateStack",
        "cloudformation:ContinueUpdateRollback",
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:RollbackStack",
        "cloudformation:SetStackPolicy",
        "cloudformation:TagResource",
        "cloudformation:UpdateTerminationProtection",
    ];
    // Whose first creation failed. Of the others, a person deletes what is left.
    let deletable = ["migrate", "service"]
        .map(|stack| arn("cloudformation", &format!("stack/taskhub-{name}-{stack}/*")));
    [
        allow(CHANGE, stacks(name)),
        allow(&["cloudformation:DeleteStack"], deletable),
        pass_to_cloudformation(),
        // Every change of a stack is told to the operators.
        allow(&["sns:Publish"], reference("Topic")),
    ]
}

fn pass_to_cloudformation() -> Value {
    pass(
        attribute("ExecutionRole", "Arn"),
        &["cloudformation.amazonaws.com"],
    )
}

/// The migration, and whatever an operator runs once as one of the services; and the way back from a deployment that
/// fails.
fn run_tasks(name: Name) -> [Value; 5] {
    let definitions = arn("ecs", &format!("task-definition/taskhub-{name}-*:*"));
    let tasks = arn("ecs", &format!("task/taskhub-{name}/*"));
    let deployments = arn("ecs", &format!("service-deployment/taskhub-{name}/*"));
    let logs = arn("logs", &format!("log-group:/taskhub/{name}/*"));
    let roles = ["task", "execution"].map(|kind| iam_arn(&format!("role/taskhub-{name}-*-{kind}")));
    let cluster =
        json!({"ArnEquals": {"ecs:cluster": arn("ecs", &format!("cluster/taskhub-{name}"))}});
    [
        when(allow(&["ecs:RunTask"], definitions), cluster.clone()),
        when(allow(&["ecs:StopTask"], tasks), cluster),
        pass(roles, &["ecs-tasks.amazonaws.com"]),
        allow(&["ecs:StopServiceDeployment"], deployments),
        allow(READ_LOGS, logs),
    ]
}

/// How many tasks there are, for a while. AWS gives scaling no names that could be told apart.
fn scale() -> Value {
    const SCALE: &[&str] = &[
        "application-autoscaling:DeleteScheduledAction",
        "application-autoscaling:PutScheduledAction",
        "application-autoscaling:RegisterScalableTarget",
    ];
    when(
        allow(SCALE, arn("application-autoscaling", "scalable-target/*")),
        json!({"StringEquals": {"application-autoscaling:service-namespace": "ecs"}}),
    )
}

/// The lock, the plans, the releases and the scaling of this environment; and who did what, which stays.
fn keep_state(name: Name) -> [Value; 3] {
    let objects = state(&[
        &format!("/locks/{name}.json"),
        &format!("/plans/{name}/*"),
        &format!("/releases/{name}/*"),
        &format!("/scaling/{name}/*"),
    ]);
    [
        allow(&["s3:DeleteObject", "s3:PutObject"], objects),
        allow(&["s3:PutObject"], state(&[&format!("/audit/{name}/*")])),
        allow(&["kms:GenerateDataKey"], attribute("Key", "Arn")),
    ]
}

fn push_images() -> [Value; 3] {
    const PUSH: &[&str] = &[
        "ecr:CompleteLayerUpload",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ];
    [
        allow(&["ecr:GetAuthorizationToken"], "*"),
        allow(PULL, attribute("Repository", "Arn")),
        allow(PUSH, attribute("Repository", "Arn")),
    ]
}

/// Of one environment, never the bootstrap stack.
fn stacks(name: Name) -> Intrinsic {
    arn("cloudformation", &format!("stack/taskhub-{name}-*/*"))
}
