//! Names that become parts of subjects, channels and keys (wire contract 2.2.2, reliability 5).

use std::fmt;
use std::sync::Arc;

/// Why a text is no id. The text itself is not repeated: it may be long, or made to confuse a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing, or only blanks.
    #[error("expected 1 to {longest} characters, found none")]
    Empty {
        /// Most characters.
        longest: usize,
    },
    /// Too long.
    #[error("expected 1 to {longest} characters, found {found}")]
    TooLong {
        /// Most characters.
        longest: usize,
        /// How many there are.
        found: usize,
    },
    /// A character outside the set.
    #[error("expected only {allowed}, found {found:?} at character {at}")]
    Character {
        /// The set in words.
        allowed: &'static str,
        /// The first one outside it.
        found: char,
        /// Its place, counted from 1.
        at: usize,
    },
}

fn check(
    text: &str,
    longest: usize,
    allowed: &'static str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { longest });
    }
    // The first bad character says more than the length, and all allowed ones are one byte long.
    if let Some((at, found)) = text.chars().enumerate().find(|(_, found)| !is_allowed(*found)) {
        return Err(IdError::Character { allowed, found, at: at + 1 });
    }
    if text.len() > longest {
        return Err(IdError::TooLong { longest, found: text.len() });
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $longest:literal, $allowed:literal, $is_allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Most characters; each is one byte.
            pub const LONGEST: usize = $longest;

            /// The id as a shared string.
            pub fn as_arc(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;

            fn try_from(text: &str) -> Result<Self, IdError> {
                check(text, Self::LONGEST, $allowed, $is_allowed)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for Arc<str> {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// A job: `[A-Za-z0-9_-]{1,128}`. It becomes a token of a NATS subject, so it holds no dot, wildcard or blank.
    JobId,
    128,
    "letters, digits, `_` and `-`",
    |found: char| found.is_ascii_alphanumeric() || matches!(found, '_' | '-')
);

id!(
    /// A conversation: `[A-Za-z0-9._:@-]{1,255}`. It becomes part of no subject; threads of older services, which
    /// allowed more, must stay reachable.
    ThreadId,
    255,
    "letters, digits and `. _ : @ -`",
    |found: char| found.is_ascii_alphanumeric() || matches!(found, '.' | '_' | ':' | '@' | '-')
);

impl From<&JobId> for ThreadId {
    /// The thread of a job that names none. Every job id is a valid thread id.
    fn from(job: &JobId) -> Self {
        Self(job.as_arc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_subject_or_a_protocol_is_no_job_id() {
        for bad in ["a.b", "a b", "*", ">", "a\nb", "a\r", "é", "a\u{0}b", "a/b", "a:b", "a@b"] {
            assert!(JobId::try_from(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "job-1", "JOB_1", "0", &"x".repeat(128)] {
            assert_eq!(JobId::try_from(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn old_threads_stay_reachable() {
        for good in ["refinement-proposal-1765", "user@host:1.2_3", &"x".repeat(255)] {
            assert_eq!(ThreadId::try_from(good).unwrap().as_ref(), good);
        }
        for bad in ["", "a b", "a/b", "a\u{0}", &"x".repeat(256)] {
            assert!(ThreadId::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_error_says_what_was_expected_and_what_was_found() {
        let text = |id: &str| JobId::try_from(id).unwrap_err().to_string();
        assert_eq!(text(""), "expected 1 to 128 characters, found none");
        assert_eq!(text(&"x".repeat(129)), "expected 1 to 128 characters, found 129");
        assert_eq!(text("a.b"), "expected only letters, digits, `_` and `-`, found '.' at character 2");
        assert_eq!(text("\u{0}"), "expected only letters, digits, `_` and `-`, found '\\0' at character 1");
    }
}
