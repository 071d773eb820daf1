//! Who may read what.

use super::*;
use crate::contract::{SECRETS, Secret};

/// The parameters through which a task's own role may read secrets.
fn allowed(platform: &Value, task: Task) -> Vec<String> {
    let role = properties(platform, &format!("{}TaskRole", task.title()));
    let statement = &role["Policies"][0]["PolicyDocument"]["Statement"][0];
    assert_eq!(
        statement["Action"],
        json!([
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetSecretValue"
        ])
    );
    let resources = statement["Resource"].as_array().expect("a list of ARNs");
    resources
        .iter()
        .map(|arn| path(platform, arn["Ref"].as_str().expect("a parameter")))
        .collect()
}

/// Where a parameter's value is kept.
fn path(template: &Value, parameter: &str) -> String {
    template["Parameters"][parameter]["Default"]
        .as_str()
        .expect("a path")
        .to_owned()
}

/// What `TASKHUB_SECRETS` of a task names, with the names it asks for.
fn told(template: &Value, task: Task) -> Vec<(Option<String>, String)> {
    let definition = properties(template, &format!("{}Task", task.title()));
    let variables = definition["ContainerDefinitions"][0]["Environment"]
        .as_array()
        .expect("variables");
    let secrets = variables
        .iter()
        .find(|variable| variable["Name"] == "TASKHUB_SECRETS")
        .expect("TASKHUB_SECRETS");
    let parts = secrets["Value"]["Fn::Join"][1].as_array().expect("parts");
    let one = |part: &Value| match (part["Ref"].as_str(), part["Fn::Sub"].as_str()) {
        (Some(parameter), _) => (None, path(template, parameter)),
        (None, Some(text)) => {
            let (name, rest) = text.split_once("=${").expect("NAME=${parameter}");
            (
                Some(name.to_owned()),
                path(template, rest.trim_end_matches('}')),
            )
        }
        (None, None) => panic!("{part} is no secret"),
    };
    parts.iter().map(one).collect()
}

#[test]
fn a_task_may_read_the_secrets_that_it_is_told_of_and_no_others() {
    for rendered in environments() {
        let value = |stack: Stack| {
            let found = rendered.stacks.iter().find(|(other, _)| *other == stack);
            found.expect("the stack").1.to_value()
        };
        let platform = value(Stack::Platform);
        for (task, template) in [
            (Task::Api, value(Stack::Service)),
            (Task::Worker, value(Stack::Service)),
            (Task::Migrate, value(Stack::Migrate)),
        ] {
            let told: Vec<String> = told(&template, task)
                .into_iter()
                .map(|(_, path)| path)
                .collect();
            assert_eq!(allowed(&platform, task), told, "{task:?}");
            let contract: Vec<String> = Secret::read_by(task)
                .map(|secret| {
                    format!(
                        "/taskhub/{}/data/{}",
                        rendered.environment.name,
                        secret.parameter()
                    )
                })
                .collect();
            assert_eq!(told, contract, "{task:?}");
        }
    }
}

#[test]
fn only_the_migration_knows_the_owner_of_the_database() {
    for (_, migrate) in each(Stack::Migrate) {
        let told = told(&migrate, Task::Migrate);
        assert!(told[0].1.ends_with("database-owner-secret"), "{told:?}");
        assert_eq!(told[1].0.as_deref(), Some("SERVICE_DATABASE_URL"));
    }
    for (_, service) in each(Stack::Service) {
        for task in [Task::Api, Task::Worker] {
            assert!(
                told(&service, task)
                    .iter()
                    .all(|(_, path)| !path.contains("owner")),
                "{task:?}"
            );
        }
    }
}

#[test]
fn roles_that_start_tasks_read_no_secret() {
    for (_, platform) in each(Stack::Platform) {
        for task in Task::ALL {
            let role = properties(&platform, &format!("{}ExecutionRole", task.title()));
            assert!(!role.to_string().contains("secretsmanager"), "{task:?}");
        }
    }
}

#[test]
fn every_secret_of_the_contract_is_made_and_kept_for_others() {
    for (_, data) in each(Stack::Data) {
        for secret in SECRETS {
            let properties = properties(&data, secret.resource);
            assert!(
                properties["Name"]
                    .as_str()
                    .is_some_and(|name| name.ends_with(secret.name))
            );
            assert!(
                properties["KmsKeyId"].is_object(),
                "{} has no key of ours",
                secret.name
            );
        }
    }
}

#[test]
fn no_secret_value_stands_in_a_template() {
    for rendered in environments() {
        for (stack, template) in &rendered.stacks {
            let template = template.to_value();
            for (id, secret) in of_kind(&template, "AWS::SecretsManager::Secret") {
                let generated = secret["GenerateSecretString"].is_object();
                let text = &secret["SecretString"];
                let text = text
                    .as_str()
                    .or_else(|| text["Fn::Sub"].as_str())
                    .unwrap_or_default();
                let resolved = text.contains("{{resolve:secretsmanager:");
                let empty = text == r#"{"MAIL_URL":""}"#;
                assert!(
                    generated || resolved || empty,
                    "{}/{id} holds {text}",
                    stack.as_str()
                );
            }
        }
    }
}

/// The shapes that `taskhub::secrets` understands.
#[test]
fn generated_secrets_have_the_shapes_that_the_programs_read() {
    for (_, data) in each(Stack::Data) {
        for (id, user) in [
            ("DatabaseOwnerSecret", "taskhub_owner"),
            ("DatabaseServiceSecret", "taskhub_service"),
        ] {
            let generate = &properties(&data, id)["GenerateSecretString"];
            assert_eq!(generate["GenerateStringKey"], "password");
            let text = generate["SecretStringTemplate"]
                .as_str()
                .expect("a template");
            let shape: Value = serde_json::from_str(text).expect("JSON");
            let right = json!({
                "username": user,
                "dbname": "taskhub",
                "sslmode": "verify-full",
                "sslrootcert": "/etc/ssl/certs/rds.pem",
            });
            assert_eq!(shape, right);
            let attachment = properties(&data, &format!("{id}Attachment"));
            assert_eq!(
                attachment["TargetId"]["Ref"], "Database",
                "RDS adds host and port"
            );
        }
        let cache = properties(&data, "CacheSecret")["SecretString"]["Fn::Sub"]
            .as_str()
            .expect("a text");
        let object: Value = serde_json::from_str(cache).expect("JSON once it is filled in");
        for key in ["host", "port", "username", "auth_token"] {
            assert!(!object[key].is_null(), "{key} is missing");
        }
    }
}

#[test]
fn nobody_logs_in_to_the_cache_as_the_default_user() {
    for (_, data) in each(Stack::Data) {
        let user = properties(&data, "CacheDefaultUser");
        assert_eq!(user["UserName"], "default");
        assert!(
            user["AccessString"]
                .as_str()
                .is_some_and(|access| access.starts_with("off "))
        );
        assert_eq!(
            properties(&data, "CacheUsers")["UserIds"]
                .as_array()
                .map(Vec::len),
            Some(2)
        );
    }
}
