//! Lists and objects.

use serde_json::{Map, Value};

use super::{Checker, below, equal, item_of, listed};

impl Checker<'_> {
    pub(super) fn list(&mut self, schema: &Map<String, Value>, items: &[Value], at: &str, depth: usize) {
        self.count(schema, ["minItems", "maxItems"], items.len(), "items", at);
        let first = listed(schema, "prefixItems");
        for (nth, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(nth).or_else(|| schema.get("items")) {
                self.check(schema, item, &item_of(at, nth), depth + 1);
            }
        }
        let unique = schema.get("uniqueItems").and_then(Value::as_bool).unwrap_or(false);
        let twice = |(nth, item): (usize, &Value)| items.iter().take(nth).any(|other| equal(other, item));
        if unique && items.iter().enumerate().any(twice) {
            self.problem(at, "expected items that are all different");
        }
    }

    pub(super) fn object(
        &mut self,
        schema: &Map<String, Value>,
        object: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) {
        self.count(schema, ["minProperties", "maxProperties"], object.len(), "members", at);
        for name in listed(schema, "required").iter().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                self.problem(&below(at, name), "is required and missing");
            }
        }
        let known = schema.get("properties").and_then(Value::as_object);
        for (name, value) in object {
            let path = below(at, name);
            match (known.and_then(|known| known.get(name)), schema.get("additionalProperties")) {
                (Some(schema), _) => self.check(schema, value, &path, depth + 1),
                (None, Some(Value::Bool(false))) => self.problem(&path, "is not among the known members"),
                (None, Some(schema)) => self.check(schema, value, &path, depth + 1),
                (None, None) => {}
            }
        }
    }
}
