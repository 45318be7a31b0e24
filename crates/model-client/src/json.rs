//! JSON by hand: requests are written straight into one buffer, answers are read without copies.

use std::{borrow::Cow, fmt, io};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// A JSON text in the making.
#[derive(Debug, Default)]
pub(crate) struct Json {
    out: Vec<u8>,
    scratch: Vec<u8>,
}

impl Json {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), scratch: Vec::new() }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// JSON that is already written.
    pub(crate) fn raw(&mut self, json: &str) -> &mut Self {
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    pub(crate) fn raw_bytes(&mut self, json: &[u8]) -> &mut Self {
        self.out.extend_from_slice(json);
        self
    }

    /// A comma, unless a list or object was just opened.
    pub(crate) fn comma(&mut self) -> &mut Self {
        if !matches!(self.out.last(), None | Some(b'[' | b'{')) {
            self.out.push(b',');
        }
        self
    }

    /// Any value; a string in quotes.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        put(&mut self.out, value, CompactFormatter);
        self
    }

    /// A value as JSON text inside a JSON string, spaced as Python's `json.dumps` does it: models saw that form.
    pub(crate) fn quoted<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
        self.scratch.clear();
        put(&mut self.scratch, value, Spaced);
        // serde_json writes UTF-8 only, so nothing is ever replaced here.
        put(&mut self.out, &String::from_utf8_lossy(&self.scratch), CompactFormatter);
        self
    }
}

#[expect(
    clippy::expect_used,
    reason = "strings and JSON values always serialise, and memory takes all bytes"
)]
fn put<T: Serialize + ?Sized, F: Formatter>(out: &mut Vec<u8>, value: &T, formatter: F) {
    value.serialize(&mut Serializer::with_formatter(out, formatter)).expect("a JSON value serialises");
}

/// `, ` between members and `: ` after keys.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// A string of an answer: borrowed unless it holds escapes. (`Option<Cow<str>>` would always copy.)
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_spaced_as_python_writes_them_and_keep_their_letters() {
        let mut json = Json::default();
        json.quoted(&json!({"a": [1, 2], "b": {"c": "Ä, : \n"}}));
        let text: String = serde_json::from_slice(&json.into_bytes()).unwrap();
        assert_eq!(text, r#"{"a": [1, 2], "b": {"c": "Ä, : \n"}}"#);
    }

    #[test]
    fn a_string_without_escapes_is_not_copied() {
        let borrowed: Text<'_> = serde_json::from_str(r#""abc""#).unwrap();
        assert!(matches!(borrowed.0, Cow::Borrowed("abc")));
        let owned: Text<'_> = serde_json::from_str(r#""a\nc""#).unwrap();
        assert_eq!(&*owned, "a\nc");
    }
}
