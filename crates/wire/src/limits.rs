//! How large a body may be before it is looked at.

/// Limits of one body from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a body.
    pub max_bytes: usize,
    /// Most objects and lists inside one another, the outermost counted. At most 120: beyond that the JSON parser's
    /// own limit is met, with a less helpful text.
    pub max_depth: usize,
}

impl Default for Limits {
    /// 1 MiB (the default `max_payload` of a NATS server), 64 levels (reliability 5).
    fn default() -> Self {
        Self { max_bytes: 1024 * 1024, max_depth: 64 }
    }
}
