//! The bootstrap stack: what an account has once, before the first environment. Images, the key, the operators'
//! bucket and topic, and the roles of pipelines.

mod boundary;
mod key;
mod roles;
mod storage;

use serde_json::json;

pub(crate) use roles::may_be_made;
pub(crate) use storage::REPOSITORY;

use super::{
    iam::policy,
    template::{Stack, Template, attribute, reference, sub},
};

/// The GitHub repository whose pipelines may deploy, `owner/name`; empty where there is none.
const GITHUB: &str = "GitHubRepository";

/// The account's existing GitHub identity provider, of which there can be only one.
const PROVIDER: &str = "GitHubProviderArn";

pub(crate) fn stack() -> Template {
    let mut template = Template::new(
        Stack::Bootstrap,
        None,
        "images, key, operators' bucket and topic, pipelines' roles",
    );
    parameters(&mut template);
    key::add(&mut template);
    storage::add(&mut template);
    topic(&mut template);
    provider(&mut template);
    boundary::add(&mut template);
    roles::add(&mut template);
    template.export("key-arn", &attribute("Key", "Arn"));
    template.export("boundary-arn", &reference("Boundary"));
    template.export("topic-arn", &reference("Topic"));
    template.export("repository-arn", &attribute("Repository", "Arn"));
    template.export("state-bucket", &reference("StateBucket"));
    template.export("log-bucket", &reference("LogBucket"));
    template
}

fn parameters(template: &mut Template) {
    template.parameter(
        GITHUB,
        json!({
            "Type": "String",
            "Default": "",
            "AllowedPattern": "^$|^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$",
            "Description": "The GitHub repository whose workflows may plan and deploy, owner/name; empty for none",
        }),
    );
    template.parameter(
        PROVIDER,
        json!({
            "Type": "String",
            "Default": "",
            "AllowedPattern": "^$|^arn:.+:oidc-provider/token\\.actions\\.githubusercontent\\.com$",
            "Description": "The account's GitHub identity provider, where it has one already",
        }),
    );
    let given = |parameter: &str| json!({"Fn::Not": [{"Fn::Equals": [reference(parameter), ""]}]});
    template
        .conditions
        .insert("HasGitHub".to_owned(), given(GITHUB));
    template
        .conditions
        .insert("HasProvider".to_owned(), given(PROVIDER));
    template.conditions.insert(
        "MakesProvider".to_owned(),
        json!({"Fn::And": [{"Condition": "HasGitHub"}, {"Fn::Not": [{"Condition": "HasProvider"}]}]}),
    );
}

/// Who operates TaskHub subscribes to it.
fn topic(template: &mut Template) {
    template.add(
        "Topic",
        "AWS::SNS::Topic",
        json!({"TopicName": "taskhub-operations", "KmsMasterKeyId": attribute("Key", "Arn")}),
    );
    let publish = json!({
        "Sid": "ServicesOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": [
            "budgets.amazonaws.com",
            "cloudwatch.amazonaws.com",
            "events.amazonaws.com",
            "events.rds.amazonaws.com",
        ]},
        "Action": "sns:Publish",
        "Resource": reference("Topic"),
        "Condition": {"StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")}},
    });
    let encrypted = json!({
        "Sid": "EncryptedOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": reference("Topic"),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    });
    template.add(
        "TopicPolicy",
        "AWS::SNS::TopicPolicy",
        json!({"Topics": [reference("Topic")], "PolicyDocument": policy(vec![publish, encrypted])}),
    );
}

fn provider(template: &mut Template) {
    template
        .add(
            "GitHubProvider",
            "AWS::IAM::OIDCProvider",
            json!({
                "Url": "https://token.actions.githubusercontent.com",
                "ClientIdList": [sub("sts.${AWS::URLSuffix}")],
            }),
        )
        .only_if("MakesProvider");
}
