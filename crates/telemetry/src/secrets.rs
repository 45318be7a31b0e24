//! Values that no line may show.

use std::{
    borrow::Cow,
    sync::{Arc, PoisonError, RwLock},
};

/// What stands in a secret's place.
pub const REDACTED: &str = "[REDACTED]";

/// Shorter values are left alone: they would be found inside ordinary words, and the line would tell them by what it
/// no longer says.
const SHORTEST: usize = 4;

static KNOWN: RwLock<Option<Arc<[String]>>> = RwLock::new(None);

/// From now on `value` is replaced in every line and in what [`redact`] returns. To be called at start with
/// everything that was read from the environment or a file as a secret.
pub fn register(value: &str) {
    let value = value.trim();
    if value.len() < SHORTEST {
        return;
    }
    // As it stands inside a JSON text or a `Debug` output.
    let quoted = serde_json::Value::from(value).to_string();
    let escaped = quoted.get(1..quoted.len() - 1).unwrap_or(value).to_owned();
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let mut all: Vec<String> = known.as_deref().unwrap_or_default().to_vec();
    all.extend([value.to_owned(), escaped]);
    // Longest first: a secret may be part of another.
    all.sort_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
    all.dedup();
    *known = Some(all.into());
}

/// `text` without the secrets that are known.
pub fn redact(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).clone();
    let mut clean = Cow::Borrowed(text);
    for secret in known.as_deref().unwrap_or_default() {
        if clean.contains(secret.as_str()) {
            clean = Cow::Owned(clean.replace(secret.as_str(), REDACTED));
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_replaced_wherever_it_stands_also_escaped() {
        register("sk-live-\"quoted\"");
        register("sk-live-\"quoted\"-and-longer");
        assert_eq!(redact("key=sk-live-\"quoted\"!"), "key=[REDACTED]!");
        assert_eq!(redact(r#"{"key":"sk-live-\"quoted\""}"#), r#"{"key":"[REDACTED]"}"#);
        assert_eq!(redact("sk-live-\"quoted\"-and-longer"), "[REDACTED]");
        assert!(matches!(redact("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_value_too_short_to_be_told_from_a_word_is_left_alone() {
        register("abc");
        register("");
        assert_eq!(redact("abcdef"), "abcdef");
    }
}
