//! Addresses that may hold a password where nobody looks for one.

use std::fmt;

use crate::{Kind, kind::FromText};

/// What stands in a secret's place.
pub(crate) const REDACTED: &str = "[REDACTED]";

/// A URL, or several with commas between. `Debug` and `Display` leave out what stands before `@`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Address(String);

impl Address {
    /// The whole address, to connect with.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_users(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&without_users(&self.0), f)
    }
}

impl FromText for Address {
    fn from_text(text: &str, kind: Kind) -> Option<Self> {
        String::from_text(text, kind).map(Self)
    }
}

/// The text with `[REDACTED]` for users and passwords of URLs.
pub(crate) fn without_users(text: &str) -> String {
    text.split(',').map(without_user).collect::<Vec<_>>().join(",")
}

fn without_user(address: &str) -> String {
    match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            let head = address.get(..scheme + 3).unwrap_or_default();
            let tail = address.get(at..).unwrap_or_default();
            format!("{head}{REDACTED}{tail}")
        }
        (None, Some(at)) => format!("{REDACTED}{}", address.get(at..).unwrap_or_default()),
        (_, _) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_left_out_of_every_address() {
        assert_eq!(without_users("nats://a:b@h:1,tls://h:2"), "nats://[REDACTED]@h:1,tls://h:2");
        assert_eq!(without_users("user:p@ss@h:1"), "[REDACTED]@h:1");
        assert_eq!(without_users("https://h/v1"), "https://h/v1");
    }
}
