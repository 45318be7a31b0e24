use proptest::prelude::*;
use serde_json::{Value, json};

use super::{problems, unchecked};

#[test]
fn a_value_that_fits_has_no_problem() {
    let schema = json!({
        "title": "Answer", "type": "object", "additionalProperties": false,
        "required": ["text", "score"],
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^a"},
            "score": {"type": "integer", "minimum": 0, "exclusiveMaximum": 10, "multipleOf": 2},
            "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "uniqueItems": true, "maxItems": 2},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "next": {"$ref": "#/$defs/next"}
        },
        "$defs": {"next": {"type": "object", "properties": {"next": {"$ref": "#/$defs/next"}}}}
    });
    for value in [
        json!({"text": "abc", "score": 8}),
        json!({"text": "a", "score": 2.0, "tags": ["y", "x"], "note": null, "next": {"next": {}}}),
    ] {
        assert_eq!(problems(&schema, &value), Vec::<String>::new(), "{value}");
    }
}

#[test]
fn each_keyword_has_its_problem_with_the_place() {
    for (schema, value, expected) in [
        (json!({"type": "object"}), json!([]), "the answer: expected object, found array"),
        (json!({"type": ["string", "null"]}), json!(1), "the answer: expected string or null, found number"),
        (json!({"type": "integer"}), json!(1.5), "the answer: expected integer, found number"),
        (json!({"required": ["a"]}), json!({}), "a: is required and missing"),
        (json!({"additionalProperties": false}), json!({"b": 1}), "b: is not among the known members"),
        (
            json!({"additionalProperties": {"type": "string"}}),
            json!({"b": 1}),
            "b: expected string, found number",
        ),
        (json!({"minProperties": 1}), json!({}), "the answer: expected at least 1 members, found 0"),
        (
            json!({"properties": {"a": {"items": {"type": "string"}}}}),
            json!({"a": ["x", 2]}),
            "a[1]: expected string, found number",
        ),
        (
            json!({"prefixItems": [{"type": "string"}], "items": {"type": "null"}}),
            json!(["a", 1]),
            "[1]: expected null, found number",
        ),
        (json!({"minItems": 2}), json!([1]), "the answer: expected at least 2 items, found 1"),
        (json!({"uniqueItems": true}), json!([1, 1.0]), "the answer: expected items that are all different"),
        (
            json!({"minimum": 3}),
            json!(2),
            "the answer: expected a number greater than or equal to 3, found 2",
        ),
        (json!({"exclusiveMaximum": 3}), json!(3), "the answer: expected a number less than 3, found 3"),
        (json!({"multipleOf": 0.1}), json!(0.25), "the answer: expected a multiple of 0.1, found 0.25"),
        (json!({"maxLength": 1}), json!("éé"), "the answer: expected at most 1 characters, found 2"),
        (json!({"pattern": "^\\d+$"}), json!("1a"), "the answer: expected a text that matches `^\\d+$`"),
        (json!({"enum": ["a", 2]}), json!("b"), "the answer: expected one of \"a\", 2, found \"b\""),
        (json!({"const": 1}), json!(2), "the answer: expected 1, found 2"),
        (
            json!({"anyOf": [{"type": "null"}]}),
            json!(2),
            "the answer: fits none of the 1 alternatives of `anyOf`",
        ),
        (
            json!({"oneOf": [{"type": "number"}, {"minimum": 1}]}),
            json!(2),
            "the answer: fits 2 of the 2 alternatives of `oneOf`, expected one",
        ),
        (json!({"not": {"type": "number"}}), json!(2), "the answer: fits what `not` excludes"),
        (json!({"allOf": [{"type": "null"}]}), json!(2), "the answer: expected null, found number"),
        (json!({"$ref": "#/no"}), json!(2), "the answer: cannot be checked: `#/no` is not in the schema"),
        (json!({"properties": {"a": false}}), json!({"a": 1}), "a: is not allowed here"),
    ] {
        assert_eq!(problems(&schema, &value), [expected], "{schema} {value}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_comes_to_an_end() {
    let found = problems(&json!({"$ref": "#"}), &json!(1));
    assert_eq!(found, ["the answer: is nested too deeply to be checked"]);
    let doubling = json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]});
    assert_eq!(problems(&doubling, &json!(1)).len(), 1);
}

#[test]
fn keywords_that_are_not_checked_are_named_once() {
    let schema = json!({
        "if": {}, "properties": {"a": {"patternProperties": {}}, "if": {"type": "string"}},
        "items": {"if": {}}, "x-note": 1, "title": "t"
    });
    assert_eq!(unchecked(&schema), ["if", "patternProperties"]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z#/$]{0,8}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("type".to_owned()),
        Just("$ref".to_owned()),
        Just("properties".to_owned()),
        Just("items".to_owned()),
        Just("anyOf".to_owned()),
        "[a-z]{1,3}".prop_map(String::from),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever people write as a schema: an answer, never a panic.
    #[test]
    fn any_schema_gives_an_answer(schema in any_json(), value in any_json()) {
        let found = problems(&schema, &value).len();
        prop_assert!(found <= super::MAX_PROBLEMS);
        unchecked(&schema);
    }

    /// A value always fits the schema that names it, and never the schema that excludes it.
    #[test]
    fn const_and_not_agree(value in any_json()) {
        let named = problems(&json!({ "const": value }), &value);
        prop_assert!(named.is_empty());
        let excluded = problems(&json!({ "not": { "const": value } }), &value);
        prop_assert_eq!(excluded.len(), 1);
    }
}
