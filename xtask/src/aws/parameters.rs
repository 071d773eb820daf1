//! What stacks keep for each other, in Parameter Store.

use std::collections::BTreeMap;

use super::{account::Account, errors::explained};
use crate::{
    exit::{Exit, Failed},
    render::template::{Stack, Template},
};

/// As many as one request may ask for.
const PAGE: usize = 10;

/// Names that a template reads, by the parameter of the template.
pub(crate) fn imports(template: &Template) -> BTreeMap<String, String> {
    let kept = template
        .parameters
        .iter()
        .filter(|(_, definition)| definition["Type"] == "AWS::SSM::Parameter::Value<String>");
    kept.filter_map(|(id, definition)| {
        Some((id.clone(), definition["Default"].as_str()?.to_owned()))
    })
    .collect()
}

/// The values of those `names` that are there.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn read(
    account: &Account,
    names: &[String],
) -> anyhow::Result<BTreeMap<String, String>> {
    let client = aws_sdk_ssm::Client::new(&account.config);
    let mut found = BTreeMap::new();
    for page in names.chunks(PAGE) {
        let answer = client
            .get_parameters()
            .set_names(Some(page.to_vec()))
            .send()
            .await
            .map_err(|error| explained("reading Parameter Store", error))?;
        for parameter in answer.parameters.unwrap_or_default() {
            if let (Some(name), Some(value)) = (parameter.name, parameter.value) {
                found.insert(name, value);
            }
        }
    }
    Ok(found)
}

/// What `stack` keeps under `name`, or nothing where it does not.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn kept(
    account: &Account,
    stack: Stack,
    name: &str,
) -> anyhow::Result<Option<String>> {
    let path = stack.path(Some(account.environment().name), name);
    Ok(read(account, std::slice::from_ref(&path))
        .await?
        .remove(&path))
}

/// The same, where it must be there.
///
/// # Errors
/// [`Exit::Refused`] where it is not.
pub(crate) async fn required(
    account: &Account,
    stack: Stack,
    name: &str,
) -> anyhow::Result<String> {
    kept(account, stack, name).await?.ok_or_else(|| {
        let path = stack.path(Some(account.environment().name), name);
        let stack = stack.as_str();
        Failed::because(
            Exit::Refused,
            format!("{path} is not in Parameter Store: deploy the {stack} stack"),
        )
    })
}
