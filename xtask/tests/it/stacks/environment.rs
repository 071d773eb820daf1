//! One environment's stacks on an emulator of their own.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::{
    emulator::{Emulator, infra},
    support::eventually,
};

pub(crate) struct Environment {
    pub(crate) name: &'static str,
    pub(crate) emulator: Emulator,
    /// As `infra/rendered/<environment>/stacks.json` lists them.
    stacks: Vec<Stack>,
    /// How many change sets there were.
    changes: Cell<u32>,
}

pub(crate) struct Stack {
    /// `taskhub-production-data`
    pub(crate) name: String,
    /// From `infra/rendered`.
    file: String,
    pub(crate) template: Value,
    capabilities: Vec<String>,
}

impl Stack {
    /// `Key=project,Value=taskhub`, as they were rendered beside the template.
    fn tags(&self) -> Vec<String> {
        let file = self.file.replace(".template.json", ".params.json");
        // What an account has once is no environment's and has none.
        let Ok(text) = fs::read(infra().join("rendered").join(&file)) else {
            return Vec::new();
        };
        let read: Value = serde_json::from_slice(&text).unwrap_or_else(|_| panic!("{file}"));
        let tags = read["Tags"].as_object().into_iter().flatten();
        tags.map(|(key, value)| format!("Key={key},Value={}", value.as_str().expect("text")))
            .collect()
    }
}

/// A resource as it was rendered.
pub(crate) struct Resource<'a> {
    pub(crate) id: &'a str,
    pub(crate) properties: &'a Value,
}

/// Of an image that nobody needs to fetch here.
pub(crate) fn digest() -> String {
    format!("sha256:{}", "5".repeat(64))
}

impl Environment {
    pub(crate) fn of(name: &'static str) -> Self {
        let rendered = infra().join("rendered");
        let read = |file: &str| -> Value {
            let text = fs::read(rendered.join(file)).unwrap_or_else(|_| panic!("{file}"));
            serde_json::from_slice(&text).unwrap_or_else(|_| panic!("{file}"))
        };
        let list = read(&format!("{name}/stacks.json"));
        let stacks = list["stacks"]
            .as_array()
            .expect("stacks")
            .iter()
            .map(|stack| {
                let file = stack["template"].as_str().expect("a file");
                let capabilities = stack["capabilities"].as_array().expect("capabilities");
                Stack {
                    name: stack["name"].as_str().expect("a name").to_owned(),
                    file: file.to_owned(),
                    template: read(file),
                    capabilities: capabilities.iter().map(text).collect(),
                }
            });
        let environment = Self {
            name,
            stacks: stacks.collect(),
            emulator: Emulator::start(),
            changes: Cell::new(1),
        };
        let [record] = &environment.of_type("AWS::Route53::RecordSet")[..] else {
            panic!("one address");
        };
        let of_record = |key: &str| text(&record.properties[key]);
        environment
            .emulator
            .add_zone(&of_record("Name"), &of_record("HostedZoneId"));
        environment
    }

    /// Every stack, in order, through change sets.
    pub(crate) fn make(&self) {
        for stack in &self.stacks {
            let changes = self.change(
                kind(&stack.name),
                &self.parameters(kind(&stack.name), "first"),
            );
            let added: BTreeSet<String> = changes["Changes"]
                .as_array()
                .expect("changes")
                .iter()
                .map(|change| &change["ResourceChange"])
                .filter(|change| change["Action"] == "Add")
                .map(|change| text(&change["LogicalResourceId"]))
                .collect();
            for (id, _) in stack.resources() {
                assert!(added.contains(id), "{}: {id}", stack.name);
            }
            self.execute(kind(&stack.name), &changes);
        }
    }

    /// The parameters that somebody has to give.
    pub(crate) fn parameters(&self, stack: &str, release: &str) -> Value {
        let declared = &self.stack(stack).template["Parameters"];
        let given = [("ImageDigest", digest()), ("Release", release.to_owned())];
        let given = given
            .into_iter()
            .filter(|(name, _)| declared.get(name).is_some());
        given
            .map(|(name, value)| json!({"ParameterKey": name, "ParameterValue": value}))
            .collect()
    }

    /// A change set, described; it may say that there is nothing to change.
    pub(crate) fn change(&self, stack: &str, parameters: &Value) -> Value {
        let stack = self.stack(stack);
        let described = [
            "cloudformation",
            "describe-stacks",
            "--stack-name",
            &stack.name,
        ];
        let kind = if self.emulator.try_aws(&described).is_ok() {
            "UPDATE"
        } else {
            "CREATE"
        };
        let template = format!(
            "file://{}",
            infra().join("rendered").join(&stack.file).display()
        );
        let number = self.changes.replace(self.changes.get() + 1);
        let set = format!("it-{number}");
        let name = ["--stack-name", &stack.name, "--change-set-name", &set];
        let parameters = parameters.to_string();
        let mut arguments = vec![
            "cloudformation",
            "create-change-set",
            "--change-set-type",
            kind,
        ];
        arguments.extend(name);
        arguments.extend(["--template-body", &template, "--parameters", &parameters]);
        if !stack.capabilities.is_empty() {
            arguments.push("--capabilities");
            arguments.extend(stack.capabilities.iter().map(String::as_str));
        }
        let tags = stack.tags();
        if !tags.is_empty() {
            arguments.push("--tags");
            arguments.extend(tags.iter().map(String::as_str));
        }
        self.emulator.aws(&arguments);
        let describe = [&["cloudformation", "describe-change-set"], &name[..]].concat();
        let changes = self.settled(&describe, "/Status");
        if changes["Status"] == "FAILED" {
            self.emulator
                .aws(&[&["cloudformation", "delete-change-set"], &name[..]].concat());
        }
        changes
    }

    /// Executes a change set and waits until the stack is as it says.
    pub(crate) fn execute(&self, stack: &str, changes: &Value) {
        let stack = self.stack(stack);
        let id = text(&changes["ChangeSetId"]);
        self.emulator.aws(&[
            "cloudformation",
            "execute-change-set",
            "--change-set-name",
            &id,
        ]);
        let status = self.settled_stack(&stack.name);
        let is_done = ["CREATE_COMPLETE", "UPDATE_COMPLETE"].contains(&status.as_str());
        assert!(
            is_done,
            "{}: {status}: {:?}",
            stack.name,
            self.failures(&stack.name)
        );
    }

    /// What a stack ends with; `CLEANUP` is no end.
    fn settled_stack(&self, stack: &str) -> String {
        let describe = ["cloudformation", "describe-stacks", "--stack-name", stack];
        let stack = self.settled(&describe, "/Stacks/0/StackStatus");
        text(&stack["Stacks"][0]["StackStatus"])
    }

    /// An answer whose status is an end. The waiters of `aws` look every half minute.
    fn settled(&self, describe: &[&str], status: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.emulator.aws(describe);
            let status = answer.pointer(status).and_then(Value::as_str);
            let status = status.expect("a status");
            if !status.ends_with("_IN_PROGRESS") && !status.ends_with("_PENDING") {
                return answer;
            }
            assert!(Instant::now() < deadline, "{describe:?} stays {status}");
        }
    }

    fn failures(&self, stack: &str) -> Vec<String> {
        let events = [
            "cloudformation",
            "describe-stack-events",
            "--stack-name",
            stack,
        ];
        let events = self.emulator.aws(&events);
        let events = events["StackEvents"].as_array().expect("events").iter();
        let failed = events.filter(|event| text(&event["ResourceStatus"]).ends_with("FAILED"));
        failed
            .map(|event| {
                format!(
                    "{}: {}",
                    event["LogicalResourceId"], event["ResourceStatusReason"]
                )
            })
            .collect()
    }

    /// The service that owns each resource is asked elsewhere; this is what CloudFormation says.
    pub(crate) fn every_resource_is_there(&self) {
        for stack in &self.stacks {
            let list = [
                "cloudformation",
                "list-stack-resources",
                "--stack-name",
                &stack.name,
            ];
            let list = self.emulator.aws(&list);
            let made = list["StackResourceSummaries"]
                .as_array()
                .expect("resources");
            let complete = made
                .iter()
                .filter(|one| one["ResourceStatus"] == "CREATE_COMPLETE");
            assert_eq!(
                complete.count(),
                stack.resources().count(),
                "{}",
                stack.name
            );
        }
    }

    /// In the opposite order, for each needs those before it.
    pub(crate) fn delete(&self) {
        for stack in self
            .stacks
            .iter()
            .rev()
            .filter(|stack| stack.name != "taskhub-bootstrap")
        {
            let name = ["--stack-name", &stack.name];
            self.emulator
                .aws(&[&["cloudformation", "delete-stack"], &name[..]].concat());
            let describe = [&["cloudformation", "describe-stacks"], &name[..]].concat();
            eventually("the stack is gone", || {
                self.emulator.try_aws(&describe).is_err()
            });
        }
    }

    pub(crate) fn stack(&self, kind: &str) -> &Stack {
        let is_it = |stack: &&Stack| self::kind(&stack.name) == kind;
        self.stacks.iter().find(is_it).expect("a stack")
    }

    /// Every resource of a type in all stacks, without those whose condition is not met.
    pub(crate) fn of_type(&self, kind: &str) -> Vec<Resource<'_>> {
        let all = self.stacks.iter().flat_map(Stack::resources);
        all.filter(|(_, resource)| resource["Type"] == kind)
            .map(|(id, resource)| Resource {
                id,
                properties: &resource["Properties"],
            })
            .collect()
    }

    /// An ECS service as ECS tells it.
    pub(crate) fn service(&self, name: &str) -> Value {
        let cluster = format!("taskhub-{}", self.name);
        let asked = [
            "ecs",
            "describe-services",
            "--cluster",
            &cluster,
            "--services",
            name,
        ];
        self.emulator.aws(&asked)["services"][0].clone()
    }

    /// The newest revision.
    pub(crate) fn task_definition(&self, task: &str) -> Value {
        let family = format!("taskhub-{}-{task}", self.name);
        let asked = [
            "ecs",
            "describe-task-definition",
            "--task-definition",
            &family,
        ];
        self.emulator.aws(&asked)["taskDefinition"].clone()
    }
}

impl Stack {
    fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        let resources = self.template["Resources"].as_object().expect("resources");
        resources
            .iter()
            // No GitHub repository is named here.
            .filter(|(_, resource)| resource.get("Condition").is_none())
            .map(|(id, resource): (&String, &Value)| (id.as_str(), resource))
    }
}

/// `data` of `taskhub-production-data`.
fn kind(stack: &str) -> &str {
    stack.rsplit('-').next().expect("a name")
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// By a key, for answers that list things.
pub(crate) fn by<'a>(list: &'a Value, key: &str) -> Map<String, Value> {
    let items: &'a [Value] = list.as_array().expect("a list");
    items
        .iter()
        .map(|item| (text(&item[key]), item.clone()))
        .collect()
}
