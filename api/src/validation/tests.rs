//! The words for each broken rule.

use serde_json::json;

use super::*;

fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap()
}

/// `pointer code: detail` of every broken rule.
fn broken(schema: &Value, body: &Value) -> Vec<String> {
    let mut found: Vec<_> = violations(&validator(schema), body)
        .into_iter()
        .map(|v| format!("{} {}: {}", v.pointer, v.code, v.detail))
        .collect();
    found.sort();
    found
}

#[test]
fn every_rule_has_words_of_its_own() {
    let cases = [
        (
            json!({ "type": "string" }),
            json!(1),
            "wrong-type: must be string",
        ),
        (
            json!({ "type": ["string", "null"] }),
            json!(1),
            "wrong-type: must be null or string",
        ),
        (
            json!({ "enum": ["a", "b"] }),
            json!("c"),
            r#"not-allowed: must be one of ["a","b"]"#,
        ),
        (json!({ "const": 1 }), json!(2), "not-allowed: must be 1"),
        (
            json!({ "format": "date" }),
            json!("x"),
            "invalid-format: must be a date",
        ),
        (
            json!({ "pattern": "^a$" }),
            json!("b"),
            "invalid-format: must match ^a$",
        ),
        (
            json!({ "minLength": 1 }),
            json!(""),
            "too-short: must have at least 1 character",
        ),
        (
            json!({ "maxLength": 2 }),
            json!("abc"),
            "too-long: must have at most 2 characters",
        ),
        (
            json!({ "minItems": 1 }),
            json!([]),
            "too-few: must have at least 1 item",
        ),
        (
            json!({ "maxItems": 0 }),
            json!([1]),
            "too-many: must have at most 0 items",
        ),
        (
            json!({ "uniqueItems": true }),
            json!([1, 1]),
            "repeated: must not repeat an item",
        ),
        (
            json!({ "minimum": 1 }),
            json!(0),
            "too-small: must be at least 1",
        ),
        (
            json!({ "maximum": 200 }),
            json!(201),
            "too-large: must be at most 200",
        ),
        (
            json!({ "minProperties": 1 }),
            json!({}),
            "too-few: must have at least 1 field",
        ),
        (
            json!({ "multipleOf": 2 }),
            json!(3),
            "invalid: breaks the rule \"multipleOf\"",
        ),
    ];
    for (schema, body, words) in cases {
        assert_eq!(broken(&schema, &body), [format!(" {words}")], "{schema}");
    }
}

#[test]
fn all_broken_rules_come_at_once_each_where_it_is() {
    let schema = json!({
        "type": "object",
        "properties": {
            "title": { "type": "string", "minLength": 1 },
            "labels": { "type": "array", "items": { "type": "string" } },
        },
        "required": ["title", "a/b"],
        "additionalProperties": false,
    });
    let body = json!({ "title": "", "labels": ["x", 7], "c~d": 1, "e": "\u{0}" });
    assert_eq!(
        broken(&schema, &body),
        [
            "/a~1b required: must be given",
            "/c~0d unknown-field: is not a field of this",
            "/e forbidden-character: must not contain U+0000",
            "/e unknown-field: is not a field of this",
            "/labels/1 wrong-type: must be string",
            "/title too-short: must have at least 1 character",
        ]
    );
}

#[test]
fn of_several_forms_the_likeliest_is_explained() {
    let form = |name: &str| {
        json!({
            "type": "object",
            "properties": { "kind": { "const": name }, "size": { "type": "integer" } },
            "required": ["kind", "size"],
        })
    };
    let nullable = json!({ "oneOf": [form("box"), { "type": "null" }] });
    let body = json!({ "kind": "box", "size": "big" });
    assert_eq!(
        broken(&nullable, &body),
        ["/size wrong-type: must be integer"]
    );
    let either = json!({ "oneOf": [form("box"), form("bag")] });
    let body = json!({ "kind": "bin" });
    let words = [" no-such-form: has none of the forms that the description allows"];
    assert_eq!(broken(&either, &body), words);
    let both = json!({ "oneOf": [{ "type": "integer" }, { "minimum": 1 }] });
    assert_eq!(
        broken(&both, &json!(2)),
        [" ambiguous: has several forms at once; use one"]
    );
}

#[test]
fn there_is_an_end_to_broken_rules() {
    let schema = json!({ "items": { "type": "string" } });
    let body = Value::from(vec![1; 1000]);
    assert_eq!(broken(&schema, &body).len(), MAX_VIOLATIONS);
    let body = Value::from(vec!["\u{0}"; 1000]);
    assert_eq!(broken(&schema, &body).len(), MAX_VIOLATIONS);
}

#[test]
fn a_parameter_is_read_by_its_schema_and_not_guessed() {
    let integer = json!({ "type": "integer", "minimum": 1, "maximum": 200 });
    let boolean = json!({ "type": "boolean" });
    let list = json!({ "type": "array", "items": { "enum": ["a", "b"] } });
    let codes = |schema: &Value, texts: &[&str]| {
        let rule = ParameterRule::new(schema.clone(), validator(schema));
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let found = rule.violations("name", &texts).into_iter();
        found
            .map(|violation| {
                assert_eq!(violation.pointer, "name");
                violation.code
            })
            .collect::<Vec<_>>()
    };
    for good in ["1", "200"] {
        assert!(codes(&integer, &[good]).is_empty(), "{good}");
    }
    for (bad, code) in [("0", "too-small"), ("201", "too-large")] {
        assert_eq!(codes(&integer, &[bad]), [code], "{bad}");
    }
    for bad in [
        "",
        "+5",
        "007",
        "-0",
        "1.0",
        "1e2",
        " 1",
        "ten",
        "99999999999999999999",
    ] {
        assert_eq!(codes(&integer, &[bad]), ["wrong-type"], "{bad}");
    }
    assert!(codes(&boolean, &["true"]).is_empty());
    for bad in ["1", "True", "yes", ""] {
        assert_eq!(codes(&boolean, &[bad]), ["wrong-type"], "{bad}");
    }
    assert!(codes(&list, &["a", "b"]).is_empty());
    assert_eq!(codes(&list, &["c", "d"]), ["not-allowed"]);
}
