//! Live events, retention, logs.

use std::time::Duration;

use secrecy::SecretString;

use crate::{Address, env, kind::choice, reader::Reader};

choice! {
    /// Form of a file's content in events and results.
    WireFileContent {
        /// A list of lines.
        #[default]
        Lines = "lines",
        /// One text.
        Text = "string",
    }
}

choice! {
    /// Form of log lines.
    LogFormat {
        /// One JSON object a line.
        #[default]
        Json = "json",
        /// For people.
        Human = "human",
    }
}

/// Live events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// Most events that wait for the cache.
    pub buffer_events: usize,
    /// Most bytes that wait.
    pub buffer_bytes: usize,
    /// Newest events kept per thread; 0: none.
    pub replay_events: u32,
    /// How long they are kept.
    pub replay_keep: Duration,
    /// How long pieces of text are merged.
    pub merge: Duration,
    /// Old string members beside ours.
    pub python_compat: bool,
    /// Form of a file's content.
    pub file_content: WireFileContent,
}

impl StreamSettings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            buffer_events: reader.get(&env::STREAM_BUFFER_EVENTS),
            buffer_bytes: reader.get(&env::STREAM_BUFFER_BYTES),
            replay_events: reader.get(&env::STREAM_REPLAY_EVENTS),
            replay_keep: reader.get(&env::STREAM_REPLAY_SECONDS),
            merge: reader.get(&env::STREAM_MERGE_MILLISECONDS),
            python_compat: reader.find::<String>(&env::STREAM_COMPAT).is_some(),
            file_content: reader.get(&env::WIRE_FILE_CONTENT),
        }
    }
}

/// How long what is kept. `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Threads without activity.
    pub threads: Option<Duration>,
    /// The journal of events.
    pub events: Option<Duration>,
    /// Published result events.
    pub outbox: Option<Duration>,
    /// Dead letters.
    pub dead_letters: Option<Duration>,
}

impl RetentionSettings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            threads: reader.find(&env::RETENTION_THREADS_DAYS),
            events: reader.find(&env::RETENTION_EVENTS_DAYS),
            outbox: reader.find(&env::RETENTION_OUTBOX_DAYS),
            dead_letters: reader.find(&env::RETENTION_DEAD_LETTERS_DAYS),
        }
    }
}

/// Logs and traces.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Least level that is logged.
    pub level: String,
    /// Directives per target; wins over the level.
    pub directives: Option<String>,
    /// Form of a line.
    pub format: LogFormat,
    /// Name of this service in logs and traces.
    pub service_name: String,
    /// Where traces go.
    pub otlp_endpoint: Option<Address>,
    /// Headers of each request to it.
    pub otlp_headers: Option<SecretString>,
    /// Version of this service in traces.
    pub service_version: Option<String>,
    /// Further attributes of this service in traces.
    pub resource_attributes: Option<String>,
}

impl LogSettings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            level: reader.get(&env::LOG_LEVEL),
            directives: reader.find(&env::RUST_LOG),
            format: reader.get(&env::LOG_FORMAT),
            service_name: reader.get(&env::OTEL_SERVICE_NAME),
            otlp_endpoint: reader.find(&env::OTEL_EXPORTER_OTLP_ENDPOINT),
            otlp_headers: reader.find(&env::OTEL_EXPORTER_OTLP_HEADERS),
            service_version: reader.find(&env::OTEL_SERVICE_VERSION),
            resource_attributes: reader.find(&env::OTEL_RESOURCE_ATTRIBUTES),
        }
    }
}
