//! A CloudFormation template as a value, and its text: JSON with sorted keys, the same on every machine.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};

use crate::environments::Name;

/// What CloudFormation reckons when a stack changes.
#[derive(Clone, Debug)]
pub(crate) enum Intrinsic {
    /// A resource's main identifier, a parameter's value, or a pseudo parameter such as `AWS::Region`.
    Ref(String),
    /// An attribute of a resource.
    GetAtt(String, &'static str),
    /// A text with `${…}` in it.
    Sub(String),
    /// One element of a list, counted from 0.
    Select(usize, Box<Value>),
    /// The elements of a text that commas divide.
    Split(Box<Intrinsic>),
    /// The elements, with commas between them.
    Join(Vec<Intrinsic>),
    /// The region's availability zones.
    Zones,
    /// One value or another, by the template's condition of that name.
    If(&'static str, Box<Value>, Box<Value>),
}

impl Intrinsic {
    /// As it stands within a text that [`sub`] takes.
    pub(crate) fn within(&self) -> String {
        match self {
            Self::Ref(name) => format!("${{{name}}}"),
            Self::GetAtt(name, attribute) => format!("${{{name}.{attribute}}}"),
            Self::Sub(text) => text.clone(),
            Self::Select(..) | Self::Split(_) | Self::Join(_) | Self::Zones | Self::If(..) => {
                unreachable!("only single values stand within texts")
            }
        }
    }
}

impl Serialize for Intrinsic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Ref(name) => map.serialize_entry("Ref", name)?,
            Self::GetAtt(name, attribute) => {
                map.serialize_entry("Fn::GetAtt", &[name, *attribute])?
            }
            Self::Sub(text) => map.serialize_entry("Fn::Sub", text)?,
            Self::Select(index, list) => map.serialize_entry("Fn::Select", &(index, list))?,
            Self::Split(text) => map.serialize_entry("Fn::Split", &(",", text))?,
            Self::Join(parts) => map.serialize_entry("Fn::Join", &(",", parts))?,
            Self::Zones => map.serialize_entry("Fn::GetAZs", "")?,
            Self::If(condition, yes, no) => map.serialize_entry("Fn::If", &(condition, yes, no))?,
        }
        map.end()
    }
}

pub(crate) fn reference(name: impl Into<String>) -> Intrinsic {
    Intrinsic::Ref(name.into())
}

pub(crate) fn attribute(name: impl Into<String>, attribute: &'static str) -> Intrinsic {
    Intrinsic::GetAtt(name.into(), attribute)
}

pub(crate) fn sub(text: impl Into<String>) -> Intrinsic {
    Intrinsic::Sub(text.into())
}

/// The ARN of a secret: `Ref` gives it too, but not everywhere.
pub(crate) fn secret_arn(name: &str) -> Intrinsic {
    attribute(name, "Id")
}

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
    fn path(self, environment: Option<Name>, name: &str) -> String {
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

/// The value with `${…}` wherever CloudFormation would fill something in.
pub(crate) fn filled(value: &Value) -> Value {
    match value {
        Value::Object(object) => match intrinsic(object) {
            Some(text) => Value::String(text),
            None => object
                .iter()
                .map(|(key, value)| (key.clone(), filled(value)))
                .collect(),
        },
        Value::Array(values) => values.iter().map(filled).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn intrinsic(object: &Map<String, Value>) -> Option<String> {
    let (key, value) = object.iter().next().filter(|_| object.len() == 1)?;
    match key.as_str() {
        "Ref" => Some(format!("${{{}}}", value.as_str()?)),
        "Fn::Sub" => Some(value.as_str()?.to_owned()),
        "Fn::Join" => {
            let parts = filled(value.get(1)?);
            let texts: Vec<&str> = parts.as_array()?.iter().filter_map(Value::as_str).collect();
            Some(texts.join(","))
        }
        _ => None,
    }
}

/// CloudFormation takes a template of at most this many bytes with a request; a longer one needs a bucket.
#[cfg(test)]
pub(crate) const LONGEST: usize = 51_200;

/// What stands on one line where it fits.
const WIDTH: usize = 110;

/// JSON with sorted keys, whatever order the value has; what is short stays on one line.
pub(crate) fn text(value: &Value) -> String {
    let mut text = String::new();
    write(&sorted(value), 0, 0, &mut text);
    text.push('\n');
    text
}

/// `used` columns of the line are taken already, by the key.
fn write(value: &Value, depth: usize, used: usize, text: &mut String) {
    let line = one_line(value);
    let indent = "  ".repeat(depth + 1);
    let last = "  ".repeat(depth);
    let fits = depth * 2 + used + line.len() <= WIDTH;
    match value {
        Value::Object(object) if !object.is_empty() && (!fits || depth < 2) => {
            for (index, (key, value)) in object.iter().enumerate() {
                let key = Value::from(key.as_str()).to_string();
                text.push_str(if index == 0 { "{\n" } else { ",\n" });
                text.push_str(&format!("{indent}{key}: "));
                write(value, depth + 1, key.len() + 3, text);
            }
            text.push_str(&format!("\n{last}}}"));
        }
        Value::Array(values) if !fits => {
            for (index, value) in values.iter().enumerate() {
                text.push_str(if index == 0 { "[\n" } else { ",\n" });
                text.push_str(&indent);
                write(value, depth + 1, 1, text);
            }
            text.push_str(&format!("\n{last}]"));
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => text.push_str(&line),
    }
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let entries = object
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), one_line(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => {
            format!(
                "[{}]",
                values.iter().map(one_line).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// The same on one line, for JSON within JSON.
pub(crate) fn compact(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let ordered: BTreeMap<&String, Value> = object
                .iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            ordered
                .into_iter()
                .map(|(key, value)| (key.clone(), value))
                .collect()
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
