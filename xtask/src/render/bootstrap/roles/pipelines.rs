//! What GitHub's workflows may do: plan from a pull request, deploy from an environment's approved run. They come
//! with a token of the run, never with a key.

use serde_json::{Value, json};

use super::{allow, iam_arn, pass, state};
use crate::{
    environments::Name,
    render::{
        bootstrap::GITHUB,
        iam::{arn, policy},
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
    let stacks: Vec<Intrinsic> = Name::ALL.into_iter().map(stacks).collect();
    let statements = vec![
        allow(
            json!([
                "cloudformation:CreateChangeSet",
                "cloudformation:DeleteChangeSet"
            ]),
            json!(stacks),
        ),
        pass(
            json!(attribute("ExecutionRole", "Arn")),
            &["cloudformation.amazonaws.com"],
        ),
    ];
    role(template, "plan", "pull_request", statements);
}

fn deploy(template: &mut Template, name: Name) {
    let task = format!("task-definition/taskhub-{name}-migrate:*");
    let cluster =
        json!({"ArnEquals": {"ecs:cluster": arn("ecs", &format!("cluster/taskhub-{name}"))}});
    let mut run = allow(json!("ecs:RunTask"), json!(arn("ecs", &task)));
    run["Condition"] = cluster.clone();
    let mut stop = allow(
        json!("ecs:StopTask"),
        json!(arn("ecs", &format!("task/taskhub-{name}/*"))),
    );
    stop["Condition"] = cluster;
    let statements = vec![
        allow(
            json!([
                "cloudformation:CancelUpdateStack",
                "cloudformation:ContinueUpdateRollback",
                "cloudformation:CreateChangeSet",
                "cloudformation:DeleteChangeSet",
                "cloudformation:ExecuteChangeSet",
                "cloudformation:SetStackPolicy",
                "cloudformation:TagResource",
                "cloudformation:UpdateTerminationProtection",
            ]),
            json!(stacks(name)),
        ),
        pass(
            json!(attribute("ExecutionRole", "Arn")),
            &["cloudformation.amazonaws.com"],
        ),
        pass(
            iam_arn(&format!("role/taskhub-{name}-migrate-*")),
            &["ecs-tasks.amazonaws.com"],
        ),
        run,
        stop,
        allow(
            json!("ecs:StopServiceDeployment"),
            json!(arn("ecs", &format!("service-deployment/taskhub-{name}/*"))),
        ),
        allow(
            json!([
                "logs:FilterLogEvents",
                "logs:GetLogEvents",
                "logs:StartLiveTail"
            ]),
            json!(arn("logs", &format!("log-group:/taskhub/{name}/*"))),
        ),
        allow(
            json!(["s3:DeleteObject", "s3:PutObject"]),
            state(&[
                &format!("/locks/{name}.json"),
                &format!("/plans/{name}/*"),
                &format!("/releases/{name}/*"),
            ]),
        ),
        // Every change of a stack is told to the operators.
        allow(json!("sns:Publish"), json!(reference("Topic"))),
        allow(
            json!(["kms:GenerateDataKey"]),
            json!(attribute("Key", "Arn")),
        ),
        allow(json!("ecr:GetAuthorizationToken"), json!("*")),
        allow(
            json!([
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:CompleteLayerUpload",
                "ecr:GetDownloadUrlForLayer",
                "ecr:InitiateLayerUpload",
                "ecr:PutImage",
                "ecr:UploadLayerPart",
            ]),
            json!(attribute("Repository", "Arn")),
        ),
    ];
    role(
        template,
        &format!("deploy-{name}"),
        &format!("environment:{name}"),
        statements,
    );
}

/// Of one environment, never the bootstrap stack.
fn stacks(name: Name) -> Intrinsic {
    arn("cloudformation", &format!("stack/taskhub-{name}-*/*"))
}
