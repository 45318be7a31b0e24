//! Whether a JSON value fits a JSON Schema: what a model has to be told when its structured answer does not.
//!
//! The vocabulary that people write for structured output (draft 2020-12): types, `enum`, `const`, bounds,
//! `pattern`, objects, lists, `anyOf`, `oneOf`, `allOf`, `not`, and `$ref` within the schema. [`unchecked`] names
//! the rest, so that nobody takes a keyword for checked that is not.

mod bounds;
mod containers;

use std::cell::Cell;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Deepest nesting of schema and value together; a `$ref` to itself ends here.
const MAX_DEPTH: usize = 128;
/// Most places that are looked at: alternatives that refer to each other would multiply without end.
const MAX_STEPS: u32 = 100_000;
/// Most problems that are told at once.
const MAX_PROBLEMS: usize = 10;

/// Keywords that are checked.
const CHECKED: &[&str] = &[
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "properties",
    "required",
    "additionalProperties",
    "minProperties",
    "maxProperties",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "$ref",
];

/// Keywords that say something to people only.
const ANNOTATIONS: &[&str] = &[
    "title",
    "description",
    "default",
    "examples",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "format",
    "deprecated",
    "readOnly",
    "writeOnly",
    "strict",
    "name",
    "discriminator",
];

/// What is wrong with the value, one line for each problem, at most ten; empty if it fits.
pub(crate) fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let left = Cell::new(MAX_STEPS);
    let mut checker = Checker { root: schema, left: &left, problems: Vec::new() };
    checker.check(schema, value, "", 0);
    checker.problems
}

/// Keywords anywhere in the schema that restrict values and are not checked, each once, in order of appearance.
pub(crate) fn unchecked(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_unchecked(schema, &mut found, 0);
    found
}

fn collect_unchecked(schema: &Value, found: &mut Vec<String>, depth: usize) {
    let Some(members) = schema.as_object().filter(|_| depth < MAX_DEPTH) else { return };
    for (keyword, value) in members {
        match keyword.as_str() {
            "properties" | "$defs" | "definitions" => {
                let inner = value.as_object().into_iter().flat_map(Map::values);
                inner.for_each(|inner| collect_unchecked(inner, found, depth + 1));
            }
            "items" | "additionalProperties" | "not" => collect_unchecked(value, found, depth + 1),
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                let inner = value.as_array().into_iter().flatten();
                inner.for_each(|inner| collect_unchecked(inner, found, depth + 1));
            }
            known if CHECKED.contains(&known) || ANNOTATIONS.contains(&known) || known.starts_with("x-") => {}
            other if found.iter().any(|found| found == other) => {}
            other => found.push(other.chars().take(80).collect()),
        }
    }
}

struct Checker<'s> {
    root: &'s Value,
    left: &'s Cell<u32>,
    problems: Vec<String>,
}

impl<'s> Checker<'s> {
    fn check(&mut self, schema: &Value, value: &Value, at: &str, depth: usize) {
        if depth >= MAX_DEPTH || self.left.get() == 0 {
            return self.problem(at, "is nested too deeply to be checked");
        }
        self.left.set(self.left.get() - 1);
        let members = match schema {
            Value::Bool(false) => return self.problem(at, "is not allowed here"),
            Value::Object(members) => members,
            Value::Bool(true) | Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => return,
        };
        if let Some(Value::String(reference)) = members.get("$ref") {
            match self.resolve(reference) {
                Some(target) => self.check(target, value, at, depth + 1),
                None => self.problem(at, &format!("cannot be checked: `{reference}` is not in the schema")),
            }
        }
        self.kind(members, value, at);
        self.choices(members, value, at);
        self.combinations(members, value, at, depth);
        match value {
            Value::Number(number) => self.number(members, number, at),
            Value::String(text) => self.text(members, text, at),
            Value::Array(items) => self.list(members, items, at, depth),
            Value::Object(object) => self.object(members, object, at, depth),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn problem(&mut self, at: &str, text: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            let at = if at.is_empty() { "the answer" } else { at };
            self.problems.push(format!("{at}: {text}"));
        }
    }

    /// Only references within the schema; a network has no place here.
    fn resolve(&self, reference: &str) -> Option<&'s Value> {
        self.root.pointer(reference.strip_prefix('#')?)
    }

    fn kind(&mut self, schema: &Map<String, Value>, value: &Value, at: &str) {
        let allowed: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            Some(_) | None => return,
        };
        if !allowed.iter().any(|allowed| is_kind(value, allowed)) {
            self.problem(at, &format!("expected {}, found {}", allowed.join(" or "), kind_of(value)));
        }
    }

    fn choices(&mut self, schema: &Map<String, Value>, value: &Value, at: &str) {
        if let Some(Value::Array(allowed)) = schema.get("enum")
            && !allowed.iter().any(|allowed| equal(allowed, value))
        {
            let allowed: Vec<String> = allowed.iter().take(20).map(Value::to_string).collect();
            self.problem(at, &format!("expected one of {}, found {}", allowed.join(", "), brief(value)));
        }
        if let Some(only) = schema.get("const")
            && !equal(only, value)
        {
            self.problem(at, &format!("expected {}, found {}", brief(only), brief(value)));
        }
    }

    fn combinations(&mut self, schema: &Map<String, Value>, value: &Value, at: &str, depth: usize) {
        for part in listed(schema, "allOf") {
            self.check(part, value, at, depth + 1);
        }
        let any = listed(schema, "anyOf");
        if !any.is_empty() && !any.iter().any(|part| self.fits(part, value, depth)) {
            self.problem(at, &format!("fits none of the {} alternatives of `anyOf`", any.len()));
        }
        let one = listed(schema, "oneOf");
        let fitting = one.iter().filter(|part| self.fits(part, value, depth)).count();
        if !one.is_empty() && fitting != 1 {
            let text = format!("fits {fitting} of the {} alternatives of `oneOf`, expected one", one.len());
            self.problem(at, &text);
        }
        if schema.get("not").is_some_and(|part| self.fits(part, value, depth)) {
            self.problem(at, "fits what `not` excludes");
        }
    }

    fn fits(&self, schema: &Value, value: &Value, depth: usize) -> bool {
        let mut inner = Checker { root: self.root, left: self.left, problems: Vec::new() };
        inner.check(schema, value, "", depth + 1);
        inner.problems.is_empty()
    }
}

fn listed<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_i64().is_some() || value.as_u64().is_some() || is_whole(value),
        _ => false,
    }
}

fn is_whole(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.is_finite() && number.fract() == 0.0)
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Equal as JSON Schema has it: `1` and `1.0` are one number, the order of members does not matter.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| equal(left, right)))
        }
        _ => left == right,
    }
}

/// A value for people, at most some forty characters of it.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    let mut brief: String = text.chars().take(40).collect();
    if brief.len() < text.len() {
        brief.push('…');
    }
    brief
}

/// `a`, `a.b`, `a[3]`.
fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn item_of(at: &str, nth: usize) -> String {
    let mut path = at.to_owned();
    // Writing into a string cannot fail.
    write!(path, "[{nth}]").ok();
    path
}

#[cfg(test)]
mod tests;
