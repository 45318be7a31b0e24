//! Writing JSON text straight into a buffer. Nothing here can fail, so nothing has to be unwrapped.

use serde_json::{Map, Value};

/// A quoted JSON string. Only what must be escaped is; other characters stay UTF-8.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    inner(out, text);
    out.push(b'"');
}

/// The inside of a JSON string, without quotes.
fn inner(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\')) {
        let (clean, tail) = rest.split_at(at);
        out.extend_from_slice(clean);
        let Some((special, after)) = tail.split_first() else { return };
        escape(out, *special);
        rest = after;
    }
    out.extend_from_slice(rest);
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            for nibble in [byte >> 4, byte & 0xf] {
                out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// A whole number.
pub(crate) fn uint(out: &mut Vec<u8>, mut number: u64) {
    let from = out.len();
    loop {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(from..) {
        digits.reverse();
    }
}

/// A whole number with sign.
pub(crate) fn int(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    uint(out, number.unsigned_abs());
}

/// Any value. Recursive: values come from parsers that limit depth.
pub(crate) fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => match number.as_u64() {
            Some(number) => uint(out, number),
            None => out.extend_from_slice(number.to_string().as_bytes()),
        },
        Value::String(text) => string(out, text),
        Value::Array(items) => array(out, items, self::value),
        Value::Object(members) => map(out, members),
    }
}

/// An object from a map.
pub(crate) fn map(out: &mut Vec<u8>, members: &Map<String, Value>) {
    let mut object = Object::open(out);
    for (name, item) in members {
        value(object.key(name), item);
    }
    object.close();
}

/// A list, each item written by `write`.
pub(crate) fn array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// An object that is being written, member by member.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Begins a member; the caller writes its value into what is returned.
    pub(crate) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        string(self.out, name);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        string(self.key(name), text);
    }

    pub(crate) fn uint(&mut self, name: &str, number: u64) {
        uint(self.key(name), number);
    }

    pub(crate) fn raw(&mut self, name: &str, json: &[u8]) {
        self.key(name).extend_from_slice(json);
    }

    pub(crate) fn close(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it(text in any::<String>()) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn a_number_is_written_as_serde_json_writes_it(number in any::<i64>(), float in any::<f64>()) {
            let mut out = Vec::new();
            int(&mut out, number);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
            let mut out = Vec::new();
            value(&mut out, &json!(float));
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&json!(float)).unwrap());
        }
    }

    #[test]
    fn a_value_is_written_as_serde_json_writes_it() {
        let given = json!({"b": [1, -2, 2.5, null, true, false, {}], "a": {"\u{0}\"": "\u{1f}\u{7f}é\u{2028}"}, "": []});
        let mut out = Vec::new();
        value(&mut out, &given);
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&given).unwrap());
        let mut out = Vec::new();
        uint(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string().as_bytes());
    }
}
