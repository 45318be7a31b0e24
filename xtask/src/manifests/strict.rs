//! From a schema of a custom resource to one that refuses unknown fields.

use serde_json::{Map, Value, json};

/// Makes a structural schema strict: no member beside `properties`, except where the schema keeps unknown ones; and says
/// in JSON Schema's words what Kubernetes says in its own.
pub(crate) fn strict(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let mut made = Map::new();
    for (key, value) in members {
        let value = match key.as_str() {
            "properties" => {
                let inner = value.as_object().into_iter().flatten();
                Value::Object(inner.map(|(name, inner)| (name.clone(), strict(inner))).collect())
            }
            "items" | "additionalProperties" => strict(value),
            // Alternatives repeat fields only to say which must be there; they must not forbid the others.
            _ => value.clone(),
        };
        made.insert(key.clone(), value);
    }
    let is = |name: &str| members.get(name) == Some(&Value::Bool(true));
    let open = is("x-kubernetes-preserve-unknown-fields") || members.contains_key("additionalProperties");
    if members.contains_key("properties") && !open {
        made.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if is("x-kubernetes-int-or-string") {
        made.insert("type".to_owned(), json!(["integer", "string"]));
    }
    if is("nullable")
        && let Some(Value::String(kind)) = made.get("type")
    {
        let both = json!([kind, "null"]);
        made.insert("type".to_owned(), both);
    }
    Value::Object(made)
}

/// A whole object: its spec and status by `schema`, its envelope by what every object has.
pub(crate) fn object(schema: &Value) -> Value {
    let mut made = strict(schema);
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let metadata = json!({
        "type": "object",
        "required": ["name"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253 },
            "namespace": { "type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63 },
            "labels": texts.clone(), "annotations": texts,
            "finalizers": { "type": "array", "items": { "type": "string" } },
        },
    });
    if let Some(members) = made.as_object_mut() {
        let properties = members.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("apiVersion".to_owned(), json!({ "type": "string" }));
            properties.insert("kind".to_owned(), json!({ "type": "string" }));
            properties.insert("metadata".to_owned(), metadata);
        }
        members.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::validate::Validator;

    #[test]
    fn a_strict_schema_refuses_unknown_members_but_where_they_are_kept() {
        let schema = json!({ "type": "object", "properties": {
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {} },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
            "closed": { "type": "object", "properties": { "a": { "type": "integer", "nullable": true } },
                        "anyOf": [{ "properties": { "a": {} }, "required": ["a"] }, {}] },
            "port": { "x-kubernetes-int-or-string": true } } });
        let validator = Validator::new(strict(&schema));
        for good in [
            json!({ "free": { "x": 1 }, "map": { "x": "y" }, "closed": { "a": null }, "port": "http" }),
            json!({ "closed": { "a": 1 }, "port": 80 }),
        ] {
            assert_eq!(validator.faults(&good), Vec::<String>::new());
        }
        for bad in [json!({ "x": 1 }), json!({ "closed": { "b": 1 } }), json!({ "map": { "x": 1 } })] {
            assert_eq!(validator.faults(&bad).len(), 1, "{bad}");
        }
        assert!(!validator.faults(&json!({ "port": [] })).is_empty());
    }
}
