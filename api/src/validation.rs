//! All broken rules of an input at once, in words that never repeat the input.

#[cfg(test)]
mod tests;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind as Broken};
use serde_json::Value;
use taskhub::{
    Violation,
    scopes::{self, ASKED, ASKED_BY_FORM},
};

use crate::{
    document::ANY_TEXT,
    json,
    tasks::{INSTANT, LOCAL_TIME, LOCAL_TIME_FORMAT},
};

/// More than this many broken rules help nobody.
const MAX_VIOLATIONS: usize = 100;

/// Checks a body against its operation's schema.
pub fn violations(schema: &Validator, body: &Value) -> Vec<Violation> {
    let mut found: Vec<_> = json::nul_strings(body)
        .into_iter()
        .map(|pointer| {
            violation(
                pointer,
                "forbidden-character",
                "must not contain U+0000".to_owned(),
            )
        })
        .collect();
    for error in schema.iter_errors(body) {
        describe(&error, &mut found);
        if found.len() >= MAX_VIOLATIONS {
            break;
        }
    }
    found.truncate(MAX_VIOLATIONS);
    found
}

/// What a path or query parameter must be. Its text becomes a JSON value by the schema's type first.
#[derive(Debug)]
pub struct ParameterRule {
    schema: Value,
    validator: Validator,
}

impl ParameterRule {
    pub fn new(schema: Value, validator: Validator) -> Self {
        Self { schema, validator }
    }

    /// Whether the parameter may stand several times.
    pub fn is_list(&self) -> bool {
        is_type(&self.schema, "array")
    }

    /// Checks all values of one parameter.
    pub fn violations(&self, name: &str, values: &[String]) -> Vec<Violation> {
        let value = if self.is_list() {
            values
                .iter()
                .map(|text| typed(&self.schema["items"], text))
                .collect()
        } else {
            typed(&self.schema, values.first().map_or("", String::as_str))
        };
        let mut found = violations(&self.validator, &value);
        for violation in &mut found {
            name.clone_into(&mut violation.pointer);
        }
        found.dedup();
        found
    }
}

fn is_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn typed(schema: &Value, text: &str) -> Value {
    // Only the usual spelling of a number is one: neither `+5` nor `007`.
    let number = || {
        let number = text.parse::<i64>().ok()?;
        (number.to_string() == text).then(|| number.into())
    };
    let boolean = || text.parse::<bool>().map(Value::from).ok();
    let value = if is_type(schema, "integer") || is_type(schema, "number") {
        number()
    } else if is_type(schema, "boolean") {
        boolean()
    } else {
        None
    };
    value.unwrap_or_else(|| text.into())
}

fn violation(pointer: String, code: &'static str, detail: String) -> Violation {
    Violation {
        pointer,
        code,
        detail,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the document uses few of the rules that JSON Schema has"
)]
fn describe(error: &ValidationError<'_>, found: &mut Vec<Violation>) {
    let at = error.instance_path().to_string();
    let (code, detail) = match error.kind() {
        Broken::AdditionalProperties { unexpected }
        | Broken::UnevaluatedProperties { unexpected } => {
            found.extend(unexpected.iter().take(MAX_VIOLATIONS).map(|name| {
                let pointer = format!("{at}/{}", json::escape(name));
                violation(
                    pointer,
                    "unknown-field",
                    "is not a field of this".to_owned(),
                )
            }));
            return;
        }
        Broken::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let pointer = format!("{at}/{}", json::escape(name));
            found.push(violation(pointer, "required", "must be given".to_owned()));
            return;
        }
        Broken::OneOfNotValid { context } | Broken::AnyOf { context } => {
            if let Some(branch) = likeliest(context, &at) {
                for error in branch {
                    describe(error, found);
                }
                return;
            }
            match expected(context, &at) {
                Some(types) => ("wrong-type", format!("must be {types}")),
                None => (
                    "no-such-form",
                    "has none of the forms that the description allows".to_owned(),
                ),
            }
        }
        Broken::OneOfMultipleValid { .. } => {
            ("ambiguous", "has several forms at once; use one".to_owned())
        }
        Broken::Type { kind } => ("wrong-type", format!("must be {}", types(kind))),
        Broken::Enum { options } => ("not-allowed", format!("must be one of {options}")),
        Broken::Constant { expected_value } => ("not-allowed", format!("must be {expected_value}")),
        Broken::Format { format } if format == LOCAL_TIME_FORMAT => (
            "invalid-format",
            "must be a date and a time of day that exist, without an offset".to_owned(),
        ),
        Broken::Pattern { pattern } if pattern == LOCAL_TIME => (
            "invalid-format",
            "must look like 2026-12-01T09:00:00, with at most six digits after the second"
                .to_owned(),
        ),
        Broken::Pattern { pattern } if pattern == INSTANT => (
            "invalid-format",
            "must look like 2026-12-01T08:00:00Z, with at most six digits after the second and no leap second"
                .to_owned(),
        ),
        Broken::Format { format } => ("invalid-format", format!("must be a {format}")),
        // U+0000 has been told by itself.
        Broken::Pattern { pattern } if pattern == ANY_TEXT => return,
        Broken::Pattern { pattern } if [&*ASKED, &*ASKED_BY_FORM].contains(&pattern) => {
            ("unknown-scope", scopes::known())
        }
        Broken::Pattern { pattern } => ("invalid-format", format!("must match {pattern}")),
        Broken::MinLength { limit } => (
            "too-short",
            format!("must have at least {}", count(*limit, "character")),
        ),
        Broken::MaxLength { limit } => (
            "too-long",
            format!("must have at most {}", count(*limit, "character")),
        ),
        Broken::MinItems { limit } => (
            "too-few",
            format!("must have at least {}", count(*limit, "item")),
        ),
        Broken::MaxItems { limit } => (
            "too-many",
            format!("must have at most {}", count(*limit, "item")),
        ),
        Broken::UniqueItems => ("repeated", "must not repeat an item".to_owned()),
        Broken::Minimum { limit } => ("too-small", format!("must be at least {limit}")),
        Broken::Maximum { limit } => ("too-large", format!("must be at most {limit}")),
        Broken::MinProperties { limit } => (
            "too-few",
            format!("must have at least {}", count(*limit, "field")),
        ),
        Broken::MaxProperties { limit } => (
            "too-many",
            format!("must have at most {}", count(*limit, "field")),
        ),
        other => (
            "invalid",
            format!("breaks the rule \"{}\"", other.keyword()),
        ),
    };
    found.push(violation(at, code, detail));
}

/// `1 item`, `2 items`.
fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The branch that the author meant: of those whose type fits, the one whose members fit best. `None`
/// where no branch fits better than all others.
fn likeliest<'e>(
    context: &'e [Vec<ValidationError<'static>>],
    at: &str,
) -> Option<&'e [ValidationError<'static>]> {
    let wrong_type = |error: &ValidationError<'_>| {
        matches!(
            error.kind(),
            Broken::Type { .. } | Broken::Constant { .. } | Broken::Enum { .. }
        ) && error.instance_path().to_string() == at
    };
    let misfits = |branch: &[ValidationError<'_>]| {
        let errors = branch.iter();
        let errors = errors.filter(|error| error.instance_path().to_string() == at);
        errors.map(|error| misfits(error.kind())).sum::<usize>()
    };
    let mut fitting: Vec<_> = context
        .iter()
        .filter(|branch| !branch.iter().any(wrong_type))
        .map(|branch| (misfits(branch), branch.as_slice()))
        .collect();
    fitting.sort_by_key(|(misfits, _)| *misfits);
    match fitting[..] {
        [] => None,
        [(_, only)] => Some(only),
        [(first, branch), (second, _), ..] => (first < second).then_some(branch),
    }
}

/// The types of the branches, where the value has none of them.
fn expected(context: &[Vec<ValidationError<'static>>], at: &str) -> Option<String> {
    let wanted = |error: &ValidationError<'_>| {
        let Broken::Type { kind } = error.kind() else {
            return None;
        };
        (error.instance_path().to_string() == at).then(|| types(kind))
    };
    let expected = context.iter().map(|branch| branch.iter().find_map(wanted));
    let mut expected: Vec<String> = expected.collect::<Option<_>>()?;
    expected.dedup();
    Some(expected.join(" or "))
}

/// How many members are there that should not be, or are missing.
fn misfits(broken: &Broken) -> usize {
    if let Broken::AdditionalProperties { unexpected }
    | Broken::UnevaluatedProperties { unexpected } = broken
    {
        return unexpected.len();
    }
    usize::from(matches!(broken, Broken::Required { .. }))
}

fn types(kind: &jsonschema::error::TypeKind) -> String {
    let name = |json_type: &jsonschema::JsonType| json_type.to_string();
    match kind {
        jsonschema::error::TypeKind::Single(one) => name(one),
        jsonschema::error::TypeKind::Multiple(several) => several
            .iter()
            .map(|one| name(&one))
            .collect::<Vec<_>>()
            .join(" or "),
    }
}
