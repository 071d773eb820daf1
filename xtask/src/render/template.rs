//! A CloudFormation template as a value.

mod intrinsic;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::environments::Name;
pub(crate) use intrinsic::{Intrinsic, attribute, reference, secret_arn, sub};
#[cfg(test)]
pub(crate) use text::LONGEST;
pub(crate) use text::{compact, filled, text};

/// One stack.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stack {
    Bootstrap,
    Network,
    Data,
    Platform,
    Migrate,
    Service,
}

impl Stack {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Network => "network",
            Self::Data => "data",
            Self::Platform => "platform",
            Self::Migrate => "migrate",
            Self::Service => "service",
        }
    }

    /// As CloudFormation knows it.
    pub(crate) fn name(self, environment: Name) -> String {
        if self == Self::Bootstrap {
            return "taskhub-bootstrap".to_owned();
        }
        format!("taskhub-{environment}-{}", self.as_str())
    }

    /// Where the stack keeps a value for others, in Parameter Store.
    pub(crate) fn path(self, environment: Option<Name>, name: &str) -> String {
        match environment {
            Some(environment) if self != Self::Bootstrap => {
                format!("/taskhub/{environment}/{}/{name}", self.as_str())
            }
            _ => format!("/taskhub/bootstrap/{name}"),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Template {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: &'static str,
    pub(crate) description: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) parameters: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) conditions: BTreeMap<String, Value>,
    pub(crate) resources: BTreeMap<String, Resource>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) outputs: BTreeMap<String, Value>,
    #[serde(skip)]
    stack: Stack,
    /// [`None`] for what an account has once.
    #[serde(skip)]
    environment: Option<Name>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Resource {
    #[serde(rename = "Type")]
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends_on: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_replace_policy: Option<&'static str>,
    pub(crate) properties: Value,
}

impl Template {
    pub(crate) fn new(stack: Stack, environment: Option<Name>, description: &str) -> Self {
        Self {
            version: "2010-09-09",
            description: match environment {
                Some(environment) => format!("TaskHub {environment}: {description}"),
                None => format!("TaskHub: {description}"),
            },
            parameters: BTreeMap::new(),
            conditions: BTreeMap::new(),
            resources: BTreeMap::new(),
            outputs: BTreeMap::new(),
            stack,
            environment,
        }
    }

    /// Adds a resource; its logical id is the way back to it.
    pub(crate) fn add(
        &mut self,
        id: impl Into<String>,
        kind: &'static str,
        properties: Value,
    ) -> &mut Resource {
        let resource = Resource {
            kind,
            condition: None,
            depends_on: Vec::new(),
            deletion_policy: None,
            update_replace_policy: None,
            properties,
        };
        self.resources
            .entry(id.into())
            .insert_entry(resource)
            .into_mut()
    }

    /// What the operator says when the stack is made.
    pub(crate) fn parameter(&mut self, id: &str, definition: Value) -> Intrinsic {
        self.parameters.insert(id.to_owned(), definition);
        reference(id)
    }

    /// A value that another stack keeps. The same twice is one parameter.
    pub(crate) fn import(&mut self, from: Stack, name: &str) -> Intrinsic {
        let id = format!("{}{}", title(from.as_str()), title(name));
        let definition = json!({
            "Type": "AWS::SSM::Parameter::Value<String>",
            "Default": from.path(self.environment, name),
            "Description": format!("Kept by the {} stack", from.as_str()),
        });
        self.parameter(&id, definition)
    }

    /// Keeps a value for other stacks and for people.
    pub(crate) fn export(&mut self, name: &str, value: &Intrinsic) {
        let path = self.stack.path(self.environment, name);
        let properties = json!({
            "Name": path,
            "Type": "String",
            "Value": value,
            "Description": format!("Of the {} stack", self.stack.as_str()),
        });
        self.add(
            format!("{}Parameter", title(name)),
            "AWS::SSM::Parameter",
            properties,
        );
    }

    /// Whether it makes roles or policies under names of ours.
    pub(crate) fn names_roles(&self) -> bool {
        self.resources
            .values()
            .any(|resource| resource.kind.starts_with("AWS::IAM::"))
    }

    pub(crate) fn to_value(&self) -> Value {
        json!(self)
    }
}

impl Resource {
    pub(crate) fn after(&mut self, id: impl Into<String>) -> &mut Self {
        self.depends_on.push(id.into());
        self
    }

    pub(crate) fn only_if(&mut self, condition: &'static str) -> &mut Self {
        self.condition = Some(condition);
        self
    }

    /// Stays where the stack goes or makes another one; goes where its first creation fails, so that it can be tried
    /// again.
    pub(crate) fn retained(&mut self) -> &mut Self {
        self.deletion_policy = Some("RetainExceptOnCreate");
        self.update_replace_policy = Some("Retain");
        self
    }

    /// Leaves a snapshot where the stack goes or makes another one.
    pub(crate) fn snapshotted(&mut self) -> &mut Self {
        self.deletion_policy = Some("Snapshot");
        self.update_replace_policy = Some("Snapshot");
        self
    }
}

/// `private-subnets` → `PrivateSubnets`.
pub(crate) fn title(name: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
    };
    name.split('-').filter_map(upper).collect()
}
