//! The JSON columns `checkpoint` and `metadata`.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::CodecError;
use crate::nul;

mod read;

pub(crate) use read::{kind_of, read_values_only, read_with_version};

/// The format that this crate writes.
const FORMAT: i64 = 4;
/// Key of the snapshot counters in `metadata`.
const COUNTERS: &str = "counters_since_delta_snapshot";

/// The `checkpoint` column. Channels with a version but without an inline value have their value in
/// `checkpoint_blobs`, are empty, or (delta channels) are rebuilt from `checkpoint_writes`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Same as the row's `checkpoint_id`; task ids are derived from this one.
    pub id: String,
    /// Creation time, see [`crate::iso_timestamp`].
    pub ts: String,
    /// Inline values: null, booleans, numbers, strings, and `true` as marker of a snapshot blob.
    pub channel_values: Map<String, Value>,
    /// Version of every channel that was ever written.
    pub channel_versions: IndexMap<String, String>,
    /// Node to trigger channel to the version that the node last ran on.
    pub versions_seen: IndexMap<String, IndexMap<String, String>>,
    /// Channels that the step changed and that are not empty, sorted. A list that lacks the pending trigger
    /// makes Python's resume do nothing: write it exactly, or `None`.
    pub updated_channels: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Written<'a> {
    v: i64,
    ts: &'a str,
    id: &'a str,
    channel_values: &'a Map<String, Value>,
    channel_versions: &'a IndexMap<String, String>,
    versions_seen: &'a IndexMap<String, IndexMap<String, String>>,
    updated_channels: &'a Option<Vec<String>>,
}

impl Checkpoint {
    /// The column's text. PostgreSQL's JSONB has no U+0000, so that character is dropped from every string;
    /// to keep it, store such a value as a blob: [`is_inline`] says which values may stand here.
    pub fn to_json(&self) -> String {
        nul::json_text(&Written {
            v: FORMAT,
            ts: &self.ts,
            id: &self.id,
            channel_values: &self.channel_values,
            channel_versions: &self.channel_versions,
            versions_seen: &self.versions_seen,
            updated_channels: &self.updated_channels,
        })
    }

    /// Reads the column, also of older formats; what is missing is empty.
    ///
    /// # Errors
    /// [`CodecError::Json`] if the text is not JSON or a field has another kind.
    pub fn from_json(text: &str) -> Result<Self, CodecError> {
        read_with_version(text).map(|(checkpoint, _)| checkpoint)
    }

    /// The greatest version of all channels, in string order: what [`crate::next_version`] counts on from.
    pub fn max_version(&self) -> Option<&str> {
        self.channel_versions.values().map(String::as_str).max()
    }
}

/// Whether LangGraph keeps the value in `channel_values` rather than in a blob row. A string with U+0000,
/// which LangGraph fails to store at all, is said to belong in a blob: every reader takes it from there.
pub fn is_inline(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.contains('\0'),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// What made a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A run got new input.
    Input,
    /// A super-step ended.
    Loop,
    /// Somebody changed the state by hand.
    Update,
    /// A run starts again from an older checkpoint.
    Fork,
}

impl Source {
    /// The word in the column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Loop => "loop",
            Self::Update => "update",
            Self::Fork => "fork",
        }
    }

    fn from_str(word: &str) -> Option<Self> {
        match word {
            "input" => Some(Self::Input),
            "loop" => Some(Self::Loop),
            "update" => Some(Self::Update),
            "fork" => Some(Self::Fork),
            _ => None,
        }
    }
}

/// The `metadata` column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// What made the checkpoint; the stub of exit mode has none.
    pub source: Option<Source>,
    /// -1 for a thread's first checkpoint, then one more per checkpoint over all runs.
    pub step: i64,
    /// Of a sub-graph: each ancestor's namespace and the checkpoint that its step started from.
    pub parents: IndexMap<String, String>,
    /// Delta channel to `[updates, super-steps]` since its last snapshot.
    pub counters: IndexMap<String, [u64; 2]>,
    /// Everything else: the run's tracing tags and scalar metadata.
    pub extra: Map<String, Value>,
}

impl Metadata {
    /// The column's text. U+0000 is dropped from every string, as LangGraph does (it does so only at the top
    /// level, and fails on one further down). Counters `[0, 0]` and empty counters are left out.
    pub fn to_json(&self) -> String {
        let mut map = Map::new();
        if let Some(source) = self.source {
            map.insert("source".to_owned(), Value::from(source.as_str()));
        }
        map.insert("step".to_owned(), Value::from(self.step));
        let parents = self.parents.iter().map(|(ns, id)| (ns.clone(), Value::from(id.as_str())));
        map.insert("parents".to_owned(), Value::Object(parents.collect()));
        for (key, value) in &self.extra {
            map.entry(key.as_str()).or_insert_with(|| value.clone());
        }
        let counters: Map<String, Value> = self
            .counters
            .iter()
            .filter(|(_, counts)| **counts != [0, 0])
            .map(|(channel, counts)| (channel.clone(), Value::from(counts.to_vec())))
            .collect();
        if !counters.is_empty() {
            map.insert(COUNTERS.to_owned(), Value::Object(counters));
        }
        nul::json_text(&map)
    }

    /// Reads the column.
    ///
    /// # Errors
    /// [`CodecError::Json`] if the text is no JSON object; [`CodecError::Missing`] or
    /// [`CodecError::WrongKind`] if `step` is absent or no integer: no run can be continued without it.
    pub fn from_json(text: &str) -> Result<Self, CodecError> {
        read::metadata(text)
    }
}
