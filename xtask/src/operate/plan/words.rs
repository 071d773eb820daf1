//! CloudFormation's words for a change.

use std::collections::BTreeSet;

use aws_sdk_cloudformation::types::ResourceChange;

use crate::aws::risk::{Change, Replacement};

impl From<ResourceChange> for Change {
    fn from(change: ResourceChange) -> Self {
        let details = change.details.unwrap_or_default().into_iter();
        let properties: BTreeSet<String> =
            details.filter_map(|detail| detail.target?.name).collect();
        let action = change.action.as_ref();
        let replacement = change.replacement.as_ref();
        Self {
            resource: change.logical_resource_id.unwrap_or_default(),
            kind: change.resource_type.unwrap_or_default(),
            action: action.map_or("", |action| action.as_str()).to_owned(),
            replacement: Replacement::of(
                replacement.map_or("", |replacement| replacement.as_str()),
            ),
            properties: properties.into_iter().collect(),
        }
    }
}
