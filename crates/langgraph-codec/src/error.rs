//! Why stored bytes or text could not be read.

/// Why a stored value was refused. Nothing is written when this is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end inside a value, or a length in them is larger than what follows.
    #[error("msgpack: {needed} more bytes expected, found {found}")]
    Truncated {
        /// Bytes that the value still needs.
        needed: usize,
        /// Bytes that are left.
        found: usize,
    },
    /// The byte `c1`, which msgpack never uses.
    #[error("msgpack: the reserved byte `c1` stands where a value was expected")]
    Reserved,
    /// Values nested deeper than any agent writes them.
    #[error("msgpack: values are nested deeper than {limit}")]
    TooDeep {
        /// The deepest nesting that is read.
        limit: u16,
    },
    /// Text that is not UTF-8.
    #[error("`{at}`: expected UTF-8 text, found other bytes")]
    Utf8 {
        /// The field or position.
        at: &'static str,
    },
    /// A value of another kind than the field allows.
    #[error("`{at}`: expected {expected}, found {found}")]
    WrongKind {
        /// The field or position.
        at: String,
        /// The kinds that are read here.
        expected: &'static str,
        /// The kind that stands there.
        found: &'static str,
    },
    /// A field without which the value has no meaning.
    #[error("`{at}` is missing")]
    Missing {
        /// The field.
        at: &'static str,
    },
    /// A row's `type` for which there is no reader (`pickle`, an encrypted type, …).
    #[error("unknown serialization type `{type_}`; there are msgpack, null, bytes, bytearray, json")]
    UnknownType {
        /// The type as stored.
        type_: String,
    },
    /// An object that is no message stands where a message is expected.
    #[error("expected a message, found the class `{class}`")]
    NoMessage {
        /// Module and class as stored.
        class: String,
    },
    /// JSON text that is not JSON, or has another shape.
    #[error("`{at}` is not readable as JSON")]
    Json {
        /// The column or field.
        at: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// One of a thread's rows was refused.
    #[error("{table}: channel `{channel}` of checkpoint `{checkpoint_id}`")]
    Row {
        /// The table that the row is in.
        table: &'static str,
        /// The row's channel, empty for rows of `checkpoints`.
        channel: String,
        /// The checkpoint that the row belongs to (of a blob: the one that was being read).
        checkpoint_id: String,
        /// What is wrong with it.
        #[source]
        source: Box<CodecError>,
    },
}

impl CodecError {
    /// Stable name of the kind, for metrics and logs. An error inside a row has the inner error's name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "codec.truncated",
            Self::Reserved => "codec.reserved_byte",
            Self::TooDeep { .. } => "codec.too_deep",
            Self::Utf8 { .. } => "codec.not_utf8",
            Self::WrongKind { .. } => "codec.wrong_kind",
            Self::Missing { .. } => "codec.missing",
            Self::UnknownType { .. } => "codec.unknown_type",
            Self::NoMessage { .. } => "codec.no_message",
            Self::Json { .. } => "codec.not_json",
            Self::Row { source, .. } => source.code(),
        }
    }

    pub(crate) fn in_row(self, table: &'static str, channel: &str, checkpoint_id: &str) -> Self {
        Self::Row {
            table,
            channel: channel.to_owned(),
            checkpoint_id: checkpoint_id.to_owned(),
            source: Box::new(self),
        }
    }
}
