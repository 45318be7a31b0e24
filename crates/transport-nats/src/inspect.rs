//! What there is, against what is needed.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy};
use async_nats::jetstream::stream;

use crate::connection::Nats;
use crate::provision::{self, ProvisionError, Streams};

/// One setting that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name, as the server's configuration has it.
    pub setting: &'static str,
    /// What is there.
    pub found: String,
    /// What is needed.
    pub needed: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, needed is {}", self.setting, self.found, self.needed)
    }
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn compare<T: fmt::Debug + PartialEq>(&mut self, setting: &'static str, found: &T, needed: &T) {
        if found != needed {
            self.0.push(Difference { setting, found: format!("{found:?}"), needed: format!("{needed:?}") });
        }
    }
}

/// Differences that the server does not let anybody change, and those that it does.
pub(crate) fn stream(found: &stream::Config, needed: &stream::Config) -> (Vec<Difference>, Vec<Difference>) {
    let (mut fixed, mut free) = (Differences::default(), Differences::default());
    fixed.compare("storage", &found.storage, &needed.storage);
    fixed.compare("retention", &found.retention, &needed.retention);
    free.compare("subjects", &found.subjects, &needed.subjects);
    free.compare("discard", &found.discard, &needed.discard);
    free.compare("max_age", &found.max_age, &needed.max_age);
    free.compare("max_bytes", &found.max_bytes, &needed.max_bytes);
    free.compare("num_replicas", &found.num_replicas, &needed.num_replicas);
    free.compare("duplicate_window", &found.duplicate_window, &needed.duplicate_window);
    (fixed.0, free.0)
}

/// As [`stream`], for the workers' consumer. More room than needed is no difference.
pub(crate) fn consumer(
    found: &consumer::Config,
    subject: &str,
    ack_wait: Duration,
    max_ack_pending: i64,
) -> (Vec<Difference>, Vec<Difference>) {
    let (mut fixed, mut free) = (Differences::default(), Differences::default());
    fixed.compare("ack_policy", &found.ack_policy, &AckPolicy::Explicit);
    fixed.compare("deliver_subject", &found.deliver_subject, &None);
    // An empty filter lets everything of the stream through, which holds nothing else.
    if !found.filter_subject.is_empty() {
        free.compare("filter_subject", &found.filter_subject.as_str(), &subject);
    }
    free.compare("ack_wait", &found.ack_wait, &ack_wait);
    free.compare("max_deliver", &found.max_deliver, &-1);
    // Below zero, and as some servers write it zero, there is no limit.
    if found.max_ack_pending > 0 && found.max_ack_pending < max_ack_pending {
        free.compare("max_ack_pending", &found.max_ack_pending, &max_ack_pending);
    }
    (fixed.0, free.0)
}

/// How one thing in JetStream is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// As needed, with a few numbers for people.
    Good(String),
    /// It works, but not as meant.
    Differs(Vec<Difference>),
    /// Nothing can work this way.
    Unfit(Vec<Difference>),
    /// It is not there, or cannot be asked for.
    Missing(String),
}

/// One thing in JetStream and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// `stream AGENT_EXECUTION`, …
    pub what: String,
    /// How it is.
    pub state: State,
}

/// Looks at both streams and the consumer, and changes nothing.
///
/// # Errors
/// [`ProvisionError::NotReached`] and [`ProvisionError::NoJetStream`].
pub async fn examine(
    nats: &Nats,
    wanted: &Streams,
    patience: Duration,
) -> Result<Vec<Observation>, ProvisionError> {
    provision::ready(nats, patience).await?;
    Ok(vec![
        examine_stream(nats, &provision::jobs(nats, wanted)).await,
        examine_stream(nats, &provision::results(wanted)).await,
        examine_consumer(nats, wanted).await,
    ])
}

async fn examine_stream(nats: &Nats, needed: &stream::Config) -> Observation {
    let what = format!("stream {}", needed.name);
    let found = match nats.jetstream.get_stream(&needed.name).await {
        Ok(found) => found.cached_info().clone(),
        Err(error) => return Observation { what, state: State::Missing(error.to_string()) },
    };
    let (fixed, free) = stream(&found.config, needed);
    let subjects = free.iter().any(|difference| difference.setting == "subjects");
    let all: Vec<Difference> = fixed.into_iter().chain(free).collect();
    let state = if all.is_empty() {
        let share = percent(found.state.bytes, found.config.max_bytes);
        State::Good(format!("{} messages, {share} % of its size", found.state.messages))
    } else if subjects {
        State::Unfit(all)
    } else {
        State::Differs(all)
    };
    Observation { what, state }
}

fn percent(bytes: u64, limit: i64) -> u64 {
    let limit = u64::try_from(limit).unwrap_or_default();
    bytes.saturating_mul(100).checked_div(limit).unwrap_or_default()
}

async fn examine_consumer(nats: &Nats, wanted: &Streams) -> Observation {
    let settings = &nats.settings;
    let what = format!("consumer {}", settings.consumer);
    let asked = async {
        let stream = nats.jetstream.get_stream(&settings.stream).await.map_err(|error| error.to_string())?;
        stream.consumer_info(&settings.consumer).await.map_err(|error| error.to_string())
    };
    let found = match asked.await {
        Ok(found) => found,
        Err(reason) => return Observation { what, state: State::Missing(reason) },
    };
    let (fixed, free) = consumer(&found.config, &settings.subject, settings.ack_wait, wanted.max_ack_pending);
    let unfit = free.iter().any(|difference| difference.setting == "filter_subject");
    let state = if !fixed.is_empty() || unfit {
        State::Unfit(fixed.into_iter().chain(free).collect())
    } else if free.is_empty() {
        State::Good(format!("{} waiting, {} in work", found.num_pending, found.num_ack_pending))
    } else {
        State::Differs(free)
    };
    Observation { what, state }
}
