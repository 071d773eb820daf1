//! What a template leaves to CloudFormation.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

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
