//! The part of JSON Schema that Kubernetes' schemas are written in. A keyword that this does not know is an error, so
//! that no rule is silently left out.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

/// Keywords without a rule in them, beside everything that begins with `x-`.
const SILENT: &[&str] = &[
    "description",
    "default",
    "example",
    "examples",
    "format",
    "title",
    "nullable",
    "$defs",
    "$schema",
    "$id",
    "externalDocs",
    "deprecated",
    "readOnly",
];

/// A keyword of a schema, and the value that it judges.
#[derive(Clone, Copy)]
struct Rule<'a> {
    /// The schema that the keyword stands in.
    schema: &'a Map<String, Value>,
    keyword: &'a str,
    /// What stands behind the keyword.
    rule: &'a Value,
    value: &'a Value,
    /// JSON pointer of the value.
    place: &'a str,
}

/// A schema, and the document that its references point into.
#[derive(Debug, Clone)]
pub(crate) struct Validator {
    root: Arc<Value>,
    start: String,
}

impl Validator {
    pub(crate) fn new(schema: Value) -> Self {
        Self { root: Arc::new(schema), start: String::new() }
    }

    /// The schema at `start`, a JSON pointer into `root`.
    pub(crate) const fn at(root: Arc<Value>, start: String) -> Self {
        Self { root, start }
    }

    /// Everything that is wrong with `value`, each with its place.
    pub(crate) fn faults(&self, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        match self.root.pointer(&self.start) {
            Some(schema) => self.check(schema, value, "", &mut faults),
            None => faults.push(format!("the schema has nothing at `{}`", self.start)),
        }
        faults
    }

    fn check(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        let Some(members) = schema.as_object() else {
            if schema == &Value::Bool(false) {
                faults.push(format!("`{place}` may not be there"));
            }
            return;
        };
        for (keyword, rule) in members {
            if SILENT.contains(&keyword.as_str()) || keyword.starts_with("x-") {
                continue;
            }
            let rule = Rule { schema: members, keyword, rule, value, place };
            let known = self.members(rule, faults) || self.combined(rule, faults) || scalar(rule, faults);
            if !known {
                faults.push(format!(
                    "`{place}`: the schema has the keyword `{keyword}`, which is not understood"
                ));
            }
        }
    }

    /// Keywords about what is inside an object or a list.
    fn members(&self, judged: Rule<'_>, faults: &mut Vec<String>) -> bool {
        let Rule { schema, keyword, rule, value, place } = judged;
        let members = value.as_object();
        match keyword {
            "properties" => {
                for (name, inner) in rule.as_object().into_iter().flatten() {
                    if let Some(found) = members.and_then(|members| members.get(name)) {
                        self.check(inner, found, &format!("{place}/{name}"), faults);
                    }
                }
            }
            "additionalProperties" => {
                let named = schema.get("properties").and_then(Value::as_object);
                let others = members.into_iter().flatten();
                for (name, found) in
                    others.filter(|(name, _)| named.is_none_or(|named| !named.contains_key(*name)))
                {
                    match rule.as_bool() {
                        Some(true) => {}
                        Some(false) => faults.push(format!("`{place}` has no field `{name}`")),
                        None => self.check(rule, found, &format!("{place}/{name}"), faults),
                    }
                }
            }
            "required" => {
                for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if members.is_some_and(|members| !members.contains_key(name)) {
                        faults.push(format!("`{place}` lacks the field `{name}`"));
                    }
                }
            }
            "items" => {
                for (at, found) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(rule, found, &format!("{place}/{at}"), faults);
                }
            }
            _ => return false,
        }
        true
    }

    /// Keywords about other schemas.
    fn combined(&self, judged: Rule<'_>, faults: &mut Vec<String>) -> bool {
        let Rule { keyword, rule, value, place, .. } = judged;
        let fits = |inner: &&Value| {
            let mut inside = Vec::new();
            self.check(inner, value, place, &mut inside);
            inside.is_empty()
        };
        let fitting = || rule.as_array().into_iter().flatten().filter(fits).count();
        let good = match keyword {
            "$ref" => {
                let target = rule.as_str().and_then(|target| self.root.pointer(target.strip_prefix('#')?));
                if let Some(target) = target {
                    self.check(target, value, place, faults);
                }
                target.is_some()
            }
            "allOf" => {
                rule.as_array()
                    .into_iter()
                    .flatten()
                    .for_each(|inner| self.check(inner, value, place, faults));
                true
            }
            "anyOf" => fitting() > 0,
            "oneOf" => fitting() == 1,
            "not" => !fits(&rule),
            _ => return false,
        };
        if !good {
            faults.push(format!("`{place}` does not fit `{keyword}`"));
        }
        true
    }
}

/// Keywords about one value. What is said about another type than the value's holds by itself.
fn scalar(judged: Rule<'_>, faults: &mut Vec<String>) -> bool {
    let Rule { schema, keyword, rule, value, place } = judged;
    let strictly = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    let number = |compare: fn(f64, f64) -> bool| match (value.as_f64(), rule.as_f64()) {
        (Some(value), Some(limit)) => compare(value, limit),
        _ => true,
    };
    let count = |length: Option<usize>, compare: fn(u64, u64) -> bool| match (length, rule.as_u64()) {
        (Some(length), Some(limit)) => compare(u64::try_from(length).unwrap_or(u64::MAX), limit),
        _ => true,
    };
    let letters = || value.as_str().map(|text| text.chars().count());
    let items = || value.as_array().map(Vec::len);
    let members = || value.as_object().map(Map::len);
    let good = match keyword {
        "type" => match rule.as_array() {
            Some(kinds) => kinds.iter().any(|kind| is_a(value, kind)),
            None => is_a(value, rule),
        },
        "enum" => rule.as_array().is_some_and(|allowed| allowed.contains(value)),
        "const" => rule == value,
        "pattern" => match (value.as_str(), rule.as_str().map(Regex::new)) {
            (Some(text), Some(Ok(pattern))) => pattern.is_match(text),
            (Some(_), _) => false,
            (None, _) => true,
        },
        "minimum" if strictly("exclusiveMinimum") => number(|value, limit| value > limit),
        "minimum" => number(|value, limit| value >= limit),
        "maximum" if strictly("exclusiveMaximum") => number(|value, limit| value < limit),
        "maximum" => number(|value, limit| value <= limit),
        "exclusiveMinimum" | "exclusiveMaximum" if rule.is_boolean() => true,
        "multipleOf" => number(|value, step| value % step == 0.0),
        "minLength" => count(letters(), |length, limit| length >= limit),
        "maxLength" => count(letters(), |length, limit| length <= limit),
        "minItems" => count(items(), |length, limit| length >= limit),
        "maxItems" => count(items(), |length, limit| length <= limit),
        "minProperties" => count(members(), |length, limit| length >= limit),
        "maxProperties" => count(members(), |length, limit| length <= limit),
        "uniqueItems" => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            rule != &Value::Bool(true)
                || items
                    .iter()
                    .enumerate()
                    .all(|(at, item)| !items.iter().skip(at + 1).any(|later| later == item))
        }
        _ => return false,
    };
    if !good {
        faults.push(format!("`{place}` is {value}, against `{keyword}` {rule}"));
    }
    true
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(schema: Value, value: Value) -> bool {
        Validator::new(schema).faults(&value).is_empty()
    }

    /// Each keyword, with a value that fits and one that does not.
    #[test]
    fn every_keyword_can_fail() {
        let cases = [
            (json!({ "type": "integer" }), json!(1), json!(1.5)),
            (json!({ "type": ["string", "null"] }), json!(null), json!(1)),
            (json!({ "enum": ["a"] }), json!("a"), json!("b")),
            (json!({ "const": 1 }), json!(1), json!(2)),
            (json!({ "pattern": "^a+$" }), json!("aa"), json!("b")),
            (json!({ "pattern": "^a+$" }), json!(1), json!("")),
            (json!({ "minimum": 1 }), json!(1), json!(0)),
            (json!({ "maximum": 1 }), json!(1), json!(2)),
            (json!({ "minimum": 1, "exclusiveMinimum": true }), json!(2), json!(1)),
            (json!({ "maximum": 1, "exclusiveMaximum": true }), json!(0), json!(1)),
            (json!({ "multipleOf": 2 }), json!(4), json!(3)),
            (json!({ "minLength": 1 }), json!("a"), json!("")),
            (json!({ "maxLength": 1 }), json!("ä"), json!("ab")),
            (json!({ "minItems": 1 }), json!([1]), json!([])),
            (json!({ "maxItems": 1 }), json!([1]), json!([1, 2])),
            (json!({ "minProperties": 1 }), json!({ "a": 1 }), json!({})),
            (json!({ "maxProperties": 1 }), json!({ "a": 1 }), json!({ "a": 1, "b": 1 })),
            (json!({ "uniqueItems": true }), json!([1, 2]), json!([1, 1])),
            (json!({ "required": ["a"] }), json!({ "a": 1 }), json!({})),
            (json!({ "properties": { "a": { "type": "string" } } }), json!({ "b": 1 }), json!({ "a": 1 })),
            (
                json!({ "properties": { "a": {} }, "additionalProperties": false }),
                json!({ "a": 1 }),
                json!({ "b": 1 }),
            ),
            (json!({ "additionalProperties": { "type": "string" } }), json!({ "a": "b" }), json!({ "a": 1 })),
            (json!({ "items": { "type": "string" } }), json!(["a"]), json!([1])),
            (json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }), json!("a"), json!(1)),
            (json!({ "oneOf": [{ "type": "string" }, { "enum": ["a"] }] }), json!("b"), json!("a")),
            (json!({ "allOf": [{ "type": "string" }, { "enum": ["a"] }] }), json!("a"), json!("b")),
            (json!({ "not": { "type": "string" } }), json!(1), json!("a")),
            (json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": "string" } } }), json!("a"), json!(1)),
        ];
        for (schema, good, bad) in cases {
            assert!(fits(schema.clone(), good.clone()), "{schema} {good}");
            assert!(!fits(schema.clone(), bad.clone()), "{schema} {bad}");
        }
    }

    #[test]
    fn a_keyword_that_is_not_understood_is_a_fault() {
        assert!(!fits(json!({ "dependentRequired": {} }), json!({})));
        assert!(!fits(json!({ "$ref": "elsewhere.json" }), json!({})));
        assert!(fits(json!({ "description": "x", "x-anything": 1 }), json!({})));
    }
}
