//! The files of `infra/rendered`, and the list of keys in `docs/environments.md`.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    Files, Rendered, alarms, bootstrap, compliance,
    cost::{self, Prices},
    data, iam, platform, render, tasks,
    template::{self, Stack, Template},
    timeouts,
};
use crate::{
    contract::Task,
    environments::{self, Environment, Name},
};

/// The page that lists the environment files' keys, and the marks around the list.
pub(super) const PAGE: &str = "docs/environments.md";
const BEGIN: &str = "<!-- keys: written by `cargo xtask render` -->\n";
const END: &str = "<!-- end of keys -->";

/// Everything that is rendered.
pub(super) fn files(root: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let folder = Path::new("infra/rendered");
    let bootstrap = bootstrap::stack().to_value();
    files.insert(
        folder.join("bootstrap/template.json"),
        template::text(&bootstrap),
    );
    files.insert(PAGE.into(), page(&fs::read_to_string(root.join(PAGE))?)?);
    let production = Environment::load(root, Name::Production)?;
    for name in Name::ALL {
        let rendered = render(Environment::load(root, name)?)?;
        let folder = folder.join(name.as_str());
        for (file, text) in environment_files(&rendered, &production)? {
            files.insert(folder.join(file), text);
        }
    }
    Ok(files)
}

/// The page with the list as it should be.
fn page(text: &str) -> anyhow::Result<String> {
    let parts = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.with_context(|| format!("{PAGE} has lost the marks around the list of keys"))?;
    Ok(format!(
        "{before}{BEGIN}\n{}\n{END}{after}",
        environments::reference()
    ))
}

/// File name below the environment's folder → content.
fn environment_files(
    rendered: &Rendered,
    production: &Environment,
) -> anyhow::Result<BTreeMap<String, String>> {
    let environment = &rendered.environment;
    let name = environment.name.as_str();
    let mut files = BTreeMap::from([
        (
            "stacks.json".to_owned(),
            template::text(&manifest(rendered)),
        ),
        ("alarms.md".to_owned(), alarms::page(name, &rendered.stacks)),
        ("timeouts.md".to_owned(), timeouts::page(environment)),
        (
            "cost.md".to_owned(),
            cost::page(name, &rendered.stacks, &Prices::built_in()?),
        ),
        (
            "compliance.md".to_owned(),
            compliance::page(environment, production, &rendered.stacks),
        ),
    ]);
    for (stack, template) in rendered
        .stacks
        .iter()
        .filter(|(stack, _)| *stack != Stack::Bootstrap)
    {
        let value = template.to_value();
        let parameters = template::text(&parameters(environment, *stack));
        files.insert(
            format!("{}.template.json", stack.as_str()),
            template::text(&value),
        );
        files.insert(format!("{}.params.json", stack.as_str()), parameters);
        task_definitions(&value, &mut files);
    }
    policies(environment, &mut files);
    Ok(files)
}

/// What goes with a template, in the form that `aws cloudformation deploy` takes: its parameters, the
/// tags of every resource, and for the data stack the policy that keeps them.
fn parameters(environment: &Environment, stack: Stack) -> Value {
    let mut whole = json!({"Parameters": {}, "Tags": environment.tags});
    if stack == Stack::Data {
        whole["StackPolicy"] = data::stack_policy();
    }
    whole
}

/// `stacks.json`: what whoever has no `xtask` must know to deploy the environment. Paths are below
/// `infra/rendered`; stacks come in the order in which they are made.
fn manifest(rendered: &Rendered) -> Value {
    let environment = &rendered.environment;
    let name = environment.name;
    let stacks = rendered.stacks.iter().map(|(stack, template)| {
        let file = |kind| format!("{name}/{}.{kind}.json", stack.as_str());
        let (template_file, parameters) = if *stack == Stack::Bootstrap {
            ("bootstrap/template.json".to_owned(), None)
        } else {
            (file("template"), Some(file("params")))
        };
        let capabilities = template.names_roles().then_some("CAPABILITY_NAMED_IAM");
        json!({
            "name": stack.name(name),
            "template": template_file,
            "parameters": parameters,
            "capabilities": capabilities.into_iter().collect::<Vec<_>>(),
            "termination_protection": !matches!(stack, Stack::Migrate | Stack::Service),
        })
    });
    json!({
        "environment": name.as_str(),
        "region": environment.region,
        "account": environment.account,
        "migrate_timeout_seconds": environment.migrate.timeout,
        "deploy_timeout_seconds": environment.deploy.timeout,
        "stacks": stacks.collect::<Vec<Value>>(),
    })
}

fn task_definitions(template: &Value, files: &mut BTreeMap<String, String>) {
    for task in Task::ALL {
        let definition = &template["Resources"][format!("{}Task", task.title())]["Properties"];
        if !definition.is_null() {
            let text = template::text(&tasks::plain(definition));
            files.insert(format!("taskdefs/{}.json", task.name()), text);
        }
    }
}

fn policies(environment: &Environment, files: &mut BTreeMap<String, String>) {
    // Imports name themselves, which is what the files should show.
    let mut names = Template::new(Stack::Platform, Some(environment.name), "");
    let subjects = platform::subjects(&mut names);
    for role in iam::task_roles(environment, &subjects) {
        files.insert(
            format!("iam/{}.json", role.name),
            template::text(&template::filled(&role.policy)),
        );
    }
}
