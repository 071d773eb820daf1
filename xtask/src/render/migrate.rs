//! The migrate stack: what a release runs first. It is apart from the services because a task that is run once
//! cannot choose its image, and the services must not change before it has ended well.

use super::{
    tasks,
    template::{Stack, Template, reference},
};
use crate::{contract::Task, environments::Environment};

/// # Errors
/// Where the migration lacks a variable that it requires.
pub(crate) fn stack(environment: &Environment) -> anyhow::Result<Template> {
    let mut template = Template::new(
        Stack::Migrate,
        Some(environment.name),
        "the task that brings the schema up to date",
    );
    let task = tasks::add(&mut template, environment, Task::Migrate)?;
    template.export("task", &reference(task));
    Ok(template)
}
