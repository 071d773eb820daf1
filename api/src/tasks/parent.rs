//! Parents as a filter.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;
use uuid::Uuid;

/// A task that others are a part of, or `none` for those that are a part of no other.
#[derive(Clone, Copy)]
pub(crate) enum TaskParent {
    None,
    Task(Uuid),
}

impl Type for TaskParent {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_task-parent".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            pattern: Some(
                "^(none|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$"
                    .to_owned(),
            ),
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromParameter for TaskParent {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Ok(match value {
            "none" => Self::None,
            id => Self::Task(id.parse().map_err(ParseError::custom)?),
        })
    }
}

impl TaskParent {
    /// Whether `none` is among them, and the ids of the others.
    pub(super) fn split(parents: &[Self]) -> (bool, Vec<Uuid>) {
        let top_level = parents.iter().any(|parent| matches!(parent, Self::None));
        let ids = parents.iter().filter_map(|parent| match parent {
            Self::None => None,
            Self::Task(id) => Some(*id),
        });
        (top_level, ids.collect())
    }
}

/// The framework asks for it, to write a parameter's default.
impl ToJSON for TaskParent {
    fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::None => "none".into(),
            Self::Task(id) => id.to_string().into(),
        })
    }
}
