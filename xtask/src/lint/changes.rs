//! A change of one value in a template, as cases and mutations make it.

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// A JSON pointer (RFC 6901).
    pub(crate) at: String,
    /// What then stands there; absent, the value goes.
    #[serde(default, deserialize_with = "some")]
    pub(crate) is: Option<Value>,
}

/// `null` is a value, too.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Change {
    /// # Errors
    /// Where the pointer leads nowhere, or to nothing that could go.
    pub(crate) fn apply(&self, template: &Value) -> anyhow::Result<Value> {
        let mut changed = template.clone();
        let (parent, key) = self.at.rsplit_once('/').context("a JSON pointer")?;
        let key = key.replace("~1", "/").replace("~0", "~");
        let place = changed
            .pointer_mut(parent)
            .with_context(|| format!("nothing is at {parent}"))?;
        match place {
            Value::Object(object) => match &self.is {
                Some(value) => drop(object.insert(key, value.clone())),
                None => drop(object.remove(&key).with_context(|| self.nothing())?),
            },
            Value::Array(items) => {
                let index: usize = key.parse().with_context(|| self.nothing())?;
                anyhow::ensure!(index < items.len(), self.nothing());
                match &self.is {
                    Some(value) => value.clone_into(&mut items[index]),
                    None => drop(items.remove(index)),
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                anyhow::bail!(self.nothing())
            }
        }
        Ok(changed)
    }

    fn nothing(&self) -> String {
        format!("nothing is at {}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(at: &str, is: Option<Value>) -> Change {
        Change {
            at: at.to_owned(),
            is,
        }
    }

    #[test]
    fn values_are_put_replaced_and_taken_away() {
        let template = json!({"a": [{"b/c": 1}, 2]});
        let apply = |at, is| change(at, is).apply(&template).expect("a place");
        assert_eq!(
            apply("/a/0/b~1c", Some(json!(2))),
            json!({"a": [{"b/c": 2}, 2]})
        );
        assert_eq!(
            apply("/a/0/new", Some(json!(null))),
            json!({"a": [{"b/c": 1, "new": null}, 2]})
        );
        assert_eq!(apply("/a/1", None), json!({"a": [{"b/c": 1}]}));
    }

    #[test]
    fn a_pointer_that_leads_nowhere_is_an_error() {
        for at in ["/x/y", "/a/2", "/a/0/gone"] {
            let error = change(at, None).apply(&json!({"a": [{}, 1]}));
            assert!(error.is_err(), "{at}");
        }
    }
}
