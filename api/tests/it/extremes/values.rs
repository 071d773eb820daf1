//! Values that a schema allows, at its edges, and values that it does not.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Map, Value, json};

/// Numbers that are the same for the same seed (`SplitMix64`).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(super) fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()].clone()
    }
}

const TIMES: [&str; 14] = [
    "2026-12-01T08:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "0000-01-01T00:00:00Z",
    "0000-12-31T23:59:59.999999-23:59",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59.9999995Z",
    "9999-12-31T23:59:59-23:59",
    "2026-12-31T23:59:60Z",
    "2016-12-31T23:59:60.999999999Z",
    "2026-02-30T00:00:00Z",
    "2026-12-01T24:00:00Z",
    "2026-12-01t08:00:00.000000001z",
];

const LOCAL_TIMES: [&str; 8] = [
    "2026-12-01T09:00:00",
    "0001-01-01T00:00:00",
    "0000-01-01T00:00:00",
    "9999-12-31T23:59:59.999999",
    "9999-12-31T23:59:59.9999999",
    "2026-02-30T09:00:00",
    "2026-03-29T02:30:00",
    "2026-12-31T23:59:60",
];

const DATES: [&str; 8] = [
    "2026-12-01",
    "0001-01-01",
    "9999-12-31",
    "0000-01-01",
    "2024-02-29",
    "2026-02-29",
    "10000-01-01",
    "-0001-12-31",
];

const IDS: [&str; 5] = [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "0199C1F0-7A52-7C11-9D0E-6F0D6A3B2C10",
    "0199c1f07a527c119d0e6f0d6a3b2c10",
    "{0199c1f0-7a52-7c11-9d0e-6f0d6a3b2c10}",
];

/// Zones among others, since some texts are names of them.
const TEXTS: [&str; 16] = [
    "",
    " ",
    "a",
    "UTC",
    "Europe/Vienna",
    "Pacific/Apia",
    "' or 1=1; --",
    "%00%s%n",
    "\\u0000\\",
    "\u{0}",
    "\u{ffff}\u{fffe}\u{fdd0}",
    "\u{10ffff}😀\u{1f469}\u{200d}\u{1f469}",
    "e\u{301}\u{300}\u{202e}\u{feff}",
    "\"<script>&amp;",
    "NaN",
    "1e999",
];

const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "-1",
    "1",
    "1.5",
    "1e308",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
];

pub(super) struct Values<'d> {
    document: &'d Value,
    /// Ids of what there is.
    known: Vec<Value>,
}

impl<'d> Values<'d> {
    pub(super) fn new(document: &'d Value, known: Vec<Value>) -> Self {
        Self { document, known }
    }

    pub(super) fn resolve<'v>(&self, value: &'v Value) -> &'v Value
    where
        'd: 'v,
    {
        match value["$ref"].as_str() {
            Some(reference) => self.document.pointer(&reference[1..]).unwrap(),
            None => value,
        }
    }

    /// A value of a schema; `wrong` of twenty are not, and neither are as many of its parts.
    pub(super) fn value(&self, dice: &mut Dice, schema: &Value, wrong: u64) -> Value {
        let schema = self.resolve(schema);
        if dice.below(20) < wrong {
            return self.anything(dice);
        }
        for branches in ["oneOf", "anyOf", "allOf"] {
            if let Some(branches) = schema[branches].as_array() {
                let branch = dice.one_of(branches);
                return self.value(dice, &branch, wrong);
            }
        }
        if let Some(values) = schema["enum"].as_array() {
            return dice.one_of(values);
        }
        let kinds = schema["type"].as_array();
        let kind = kinds.map_or_else(|| schema["type"].clone(), |kinds| dice.one_of(kinds));
        match kind.as_str() {
            Some("object") => self.object(dice, schema, wrong),
            Some("array") => {
                let most = schema["maxItems"].as_u64().unwrap_or(300).min(300);
                let length = dice.one_of(&[0, 1, 2, most, if wrong == 0 { 3 } else { most + 1 }]);
                (0..length)
                    .map(|_| self.value(dice, &schema["items"], wrong))
                    .collect()
            }
            Some("string") => self.string(dice, schema, wrong).into(),
            Some("integer" | "number") => number(dice, schema, wrong),
            Some("boolean") => (dice.below(2) == 0).into(),
            _ => Value::Null,
        }
    }

    /// The same as it stands in a path or a query.
    pub(super) fn text(&self, dice: &mut Dice, schema: &Value, wrong: u64) -> String {
        if dice.below(20) < wrong {
            return dice
                .one_of(&["%FF%FE", "%00", "%ED%A0%80", "%25", "+", "%2F..%2F", "null"])
                .to_owned();
        }
        let value = self.value(dice, schema, wrong);
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let text: String = text.chars().take(300).collect();
        // An empty part of a path, or one of dots, would be another path.
        match text.as_str() {
            "" | "." | ".." => "%20".to_owned(),
            text => encoded(text),
        }
    }

    /// Conditions and keys, now and then.
    pub(super) fn headers(
        &self,
        dice: &mut Dice,
        method: &Method,
        wrong: u64,
    ) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        let tags = [
            "*",
            "\"1\"",
            "W/\"2-gzip\"",
            "\"9223372036854775807\"",
            "\"1\", \"2\"",
        ];
        let bad = ["\"99999999999999999999\"", "1", "\"\"", "\"-1\"", ","];
        let tag = |dice: &mut Dice| {
            if dice.below(20) < wrong {
                dice.one_of(&bad)
            } else {
                dice.one_of(&tags)
            }
        };
        if dice.below(6) == 0 {
            let name = if *method == Method::GET {
                "if-none-match"
            } else {
                "if-match"
            };
            headers.push((name, tag(dice).to_owned()));
        }
        if *method != Method::GET && dice.below(6) == 0 {
            let long = "k".repeat(255);
            let key = dice.one_of(&["one", "\"two\"", "three", &long]);
            headers.push(("idempotency-key", key.to_owned()));
        }
        headers
    }

    fn object(&self, dice: &mut Dice, schema: &Value, wrong: u64) -> Value {
        let mut object = Map::new();
        let none = Map::new();
        let required = schema["required"].as_array();
        for (name, property) in schema["properties"].as_object().unwrap_or(&none) {
            let needed = required.is_some_and(|required| required.iter().any(|one| one == name));
            let there = if needed {
                dice.below(20) >= wrong
            } else {
                dice.below(3) == 0
            };
            if there {
                object.insert(name.clone(), self.value(dice, property, wrong));
            }
        }
        if dice.below(20) < wrong {
            object.insert(dice.one_of(&TEXTS).to_owned(), self.anything(dice));
        }
        object.into()
    }

    fn string(&self, dice: &mut Dice, schema: &Value, wrong: u64) -> String {
        // The first of each list is good.
        let mut edge = |all: &[&str]| {
            let all = if dice.below(3) == 0 { all } else { &all[..2] };
            dice.one_of(all).to_owned()
        };
        match schema["format"].as_str() {
            Some("date-time") => return edge(&TIMES),
            Some("date-time-local") => return edge(&LOCAL_TIMES),
            Some("date") => return edge(&DATES),
            Some("uuid") if dice.below(4) > 0 => {
                return dice
                    .one_of(&self.known)
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
            }
            Some("uuid") => return dice.one_of(&IDS).to_owned(),
            Some("email") => return email(dice),
            _ => {}
        }
        let least = schema["minLength"].as_u64().unwrap_or(0);
        let most = schema["maxLength"].as_u64().unwrap_or(1000);
        let long = if dice.below(8) == 0 {
            most
        } else {
            most.min(300)
        };
        let length = match dice.below(20) < wrong {
            true => dice.one_of(&[least.saturating_sub(1), most + 1]),
            false => dice.one_of(&[least, least + 1, 12.clamp(least, most), long]),
        };
        if dice.below(3) == 0 {
            return dice
                .one_of(&TEXTS[..if wrong == 0 { 6 } else { 16 }])
                .to_owned();
        }
        let alphabet: &[char] = dice.one_of(&[
            &['a'][..],
            &['0', '1'],
            &['a', '_', 'b'],
            &['\u{ffff}', '\u{10ffff}', '😀'],
            &['e', '\u{301}'],
            &['\u{1}', '\t', '\n', '\u{7f}'],
        ]);
        (0..length).map(|_| dice.one_of(alphabet)).collect()
    }

    /// Something that nobody asked for.
    fn anything(&self, dice: &mut Dice) -> Value {
        match dice.below(9) {
            0 => Value::Null,
            1 => number(dice, &Value::Null, 20),
            2 => dice.one_of(&TEXTS).into(),
            3 => dice.one_of(&TIMES).into(),
            4 => (0..dice.below(40)).fold(json!(0), |inner, _| json!([inner])),
            5 => (0..dice.below(40)).fold(json!({}), |inner, _| json!({ "due": inner })),
            6 => Value::from(vec![dice.one_of(&TEXTS); 1000]),
            7 => dice.one_of(&self.known),
            _ => (dice.below(2) == 0).into(),
        }
    }
}

fn number(dice: &mut Dice, schema: &Value, wrong: u64) -> Value {
    let edges = [
        schema["minimum"].as_i64(),
        schema["maximum"].as_i64(),
        Some(1),
    ];
    let edges: Vec<i64> = edges.into_iter().flatten().collect();
    if dice.below(20) >= wrong {
        return dice.one_of(&edges).into();
    }
    if dice.below(2) == 0 {
        let edge = dice.one_of(&edges);
        return dice
            .one_of(&[edge.saturating_sub(1), edge.saturating_add(1)])
            .into();
    }
    serde_json::from_str(dice.one_of(&NUMBERS)).unwrap()
}

fn email(dice: &mut Dice) -> String {
    let name = dice.one_of(&["ada", "o'hara+%", "ü", "\"a b\"", "", "\u{10ffff}"]);
    let name = if dice.below(4) == 0 {
        "0".repeat(64)
    } else {
        name.to_owned()
    };
    let host = dice.one_of(&[
        "example.com",
        "xn--bcher-kva.example",
        "bücher.example",
        "[127.0.0.1]",
        "-",
        "a..b",
    ]);
    format!("{name}@{host}")
}

/// Percent-encoded, but for what never needs it.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}
