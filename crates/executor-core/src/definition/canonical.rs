//! One text per JSON value, whatever the order of its members was.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The value as compact JSON with the members of every object sorted by their UTF-8 bytes.
///
/// Two values are the same job, or the same definition, exactly when these bytes are equal. Numbers keep the form in
/// which they were read, so `1` and `1.0` differ. Recursive: the value must have passed a depth limit.
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write(&mut out, value);
    out
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(out, value),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| name.as_bytes());
            out.push(b'{');
            for (at, (name, item)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                scalar(out, name);
                out.push(b':');
                write(out, item);
            }
            out.push(b'}');
        }
    }
}

/// Writing a scalar into memory cannot fail; if it ever did the member would be missing, never wrong.
fn scalar(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let before = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(before);
    }
}

/// SHA-256 as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut hex = String::with_capacity(64);
    for byte in digest {
        for nibble in [byte >> 4, byte & 0xf] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_members_does_not_matter_and_the_order_of_items_does() {
        let one = json!({"b": [1, {"y": null, "x": "é\n"}], "a": true});
        let other = json!({"a": true, "b": [1, {"x": "é\n", "y": null}]});
        assert_eq!(canonical_json(&one), canonical_json(&other));
        assert_eq!(
            String::from_utf8(canonical_json(&one)).unwrap(),
            r#"{"a":true,"b":[1,{"x":"é\n","y":null}]}"#
        );
        assert_ne!(canonical_json(&json!([1, 2])), canonical_json(&json!([2, 1])));
    }

    #[test]
    fn the_hash_is_the_known_one() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
