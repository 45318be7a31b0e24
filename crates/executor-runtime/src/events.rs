//! A reader of one thread's events: the journal first, then live, each number once, whatever is lost on the way.
//!
//! What is told live may be missing, late, twice, or from a worker that lost its thread; the numbers tell. What is
//! missing comes from the journal with the thread's next commit, or at once from the cache's list.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use agent_checkpoint_store::{JobRecord, JournalRow, StoreError};
use agent_stream_sink::{EventKind, Heard, Listener, SinkEvent};
use agent_wire::journal::{self, Place, StateFold, StateText};
use agent_wire::{compat, stream};
use bytes::Bytes;
use tokio::sync::watch;

use crate::executor::{Executor, Shared};

/// Rows of one question to the journal.
const PAGE: usize = 32;
/// Events that are kept while one before them is missing; more are left to the journal.
const AHEAD: usize = 256;

/// From where on a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// After this number; 0 is everything.
    Number(u64),
    /// From the first event of the thread's newest job.
    NewestJob,
}

/// The events of a thread, in order, without an end: who reads decides when it has seen enough.
pub struct Events {
    shared: Arc<Shared>,
    thread: Arc<str>,
    /// The last number that was read, whether it was handed out or not.
    at: u64,
    ready: VecDeque<SinkEvent>,
    /// Came live, and something before them is missing.
    ahead: BTreeMap<u64, SinkEvent>,
    live: Option<Box<dyn Listener>>,
    journal: watch::Receiver<u64>,
    /// The journal may hold more than was read.
    behind: bool,
    /// The cache's list was asked since something was found missing.
    asked: bool,
    /// States up to a number, while the journal is read.
    fold: Option<Folded>,
}

#[derive(Default)]
struct Folded {
    upto: u64,
    states: StateFold,
}

impl Executor {
    /// A reader of a thread's events. Needs [`Executor::start`] to notice what the live way has lost.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn events(&self, thread: &str, since: Since) -> Result<Events, StoreError> {
        let shared = self.shared.clone();
        let thread: Arc<str> = Arc::from(thread);
        // Before the journal is read, so that nothing falls between.
        let live = shared.backends.sink.listen(&thread);
        let journal = shared.watches.watch(&thread);
        let at = match since {
            Since::Number(at) => at,
            Since::NewestJob => self.before_newest(&thread).await?,
        };
        let (ready, ahead) = (VecDeque::new(), BTreeMap::new());
        Ok(Events { shared, thread, at, ready, ahead, live, journal, behind: true, asked: false, fold: None })
    }

    /// The last number before the newest job of a thread.
    async fn before_newest(&self, thread: &Arc<str>) -> Result<u64, StoreError> {
        let store = &self.shared.backends.store;
        // First, so that a job that begins meanwhile lies behind it.
        let ends = store.journal_ends(std::slice::from_ref(thread)).await?;
        let newest = store.jobs_of(thread).await?.pop();
        let first = match &newest {
            Some(job) => store.job_begins(thread, &job.job_id).await?,
            None => None,
        };
        Ok(first.map_or(ends.first().copied().unwrap_or(0), |first| first.saturating_sub(1)))
    }

    /// The last journalled number of a thread; 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn journal_end(&self, thread: &str) -> Result<u64, StoreError> {
        let ends = self.shared.backends.store.journal_ends(&[Arc::from(thread)]).await?;
        Ok(ends.first().copied().unwrap_or(0))
    }

    /// The newest job of a thread, and whether any of its jobs has not ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standing(&self, thread: &str) -> Result<(Option<JobRecord>, bool), StoreError> {
        let mut jobs = self.shared.backends.store.jobs_of(thread).await?;
        let open = jobs.iter().any(|job| !job.status.is_terminal());
        Ok((jobs.pop(), open))
    }
}

impl Events {
    /// The next event. A stretch of numbers that is lost for good is one `gap`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StoreError`]: the journal cannot be read now; calling again goes on.
    pub async fn next(&mut self) -> Result<SinkEvent, StoreError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if self.behind {
                self.catch_up().await?;
            } else if !self.asked {
                self.ask_the_cache().await;
            } else {
                self.wait().await;
            }
        }
    }

    /// Whether everything that the journal held was handed out.
    pub fn is_caught_up(&self) -> bool {
        self.ready.is_empty() && !self.behind
    }

    /// Whether everything was handed out and nothing more will come: no job of the thread is open. Another job may
    /// come, of course.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_over(&self) -> Result<bool, StoreError> {
        if !self.is_caught_up() {
            return Ok(false);
        }
        let store = &self.shared.backends.store;
        // The jobs first: what they told is in the journal when they have ended.
        let jobs = store.jobs_of(&self.thread).await?;
        if jobs.is_empty() || jobs.iter().any(|job| !job.status.is_terminal()) {
            return Ok(false);
        }
        let end = store.journal_ends(std::slice::from_ref(&self.thread)).await?;
        Ok(end.first().is_none_or(|end| *end <= self.at))
    }

    /// The last number that was read.
    pub const fn position(&self) -> u64 {
        self.at
    }

    async fn wait(&mut self) {
        let Self { live, journal, .. } = self;
        let heard = async {
            match live {
                Some(live) => live.next().await,
                None => std::future::pending().await,
            }
        };
        let changed = async {
            if journal.changed().await.is_err() {
                // The executor is gone; nothing more will come.
                std::future::pending::<()>().await;
            }
        };
        let heard = tokio::select! {
            biased;
            heard = heard => Some(heard),
            () = changed => None,
        };
        match heard {
            Some(Heard::Event(event)) => self.offer(event),
            Some(Heard::Missed) => (self.behind, self.asked) = (true, false),
            Some(Heard::Closed) => self.live = None,
            None => {
                if *self.journal.borrow() > self.at {
                    self.behind = true;
                }
                if self.live.is_none() {
                    self.live = self.shared.backends.sink.listen(&self.thread);
                }
            }
        }
    }

    /// Takes what came live, if it is the next.
    fn offer(&mut self, event: SinkEvent) {
        if event.seq <= self.at {
            return;
        }
        if event.kind == EventKind::Gap {
            (self.behind, self.asked) = (true, false);
        } else if follows(self.at, &event) {
            // Live again: states need no folding any more.
            self.fold = None;
            self.take(event);
            self.take_ahead();
        } else {
            if self.ahead.is_empty() {
                (self.behind, self.asked) = (true, false);
            }
            if self.ahead.len() < AHEAD {
                self.ahead.insert(event.seq, event);
            }
        }
    }

    fn take(&mut self, event: SinkEvent) {
        self.at = event.seq;
        self.ready.push_back(event);
    }

    /// Takes what has waited, as far as nothing is missing.
    fn take_ahead(&mut self) {
        while let Some((seq, event)) = self.ahead.pop_first() {
            if seq <= self.at {
                continue;
            }
            if follows(self.at, &event) {
                self.take(event);
            } else {
                self.ahead.insert(seq, event);
                return;
            }
        }
    }

    /// What is told and not yet durable, once after something was found missing.
    async fn ask_the_cache(&mut self) {
        let recent = self.shared.backends.sink.recent(&self.thread).await;
        self.asked = true;
        for event in recent {
            if event.seq > self.at && event.kind != EventKind::Gap && self.ahead.len() < 4 * AHEAD {
                self.ahead.insert(event.seq, event);
            }
        }
        self.take_ahead();
    }

    /// Reads the next rows of the journal.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let rows = self.shared.backends.store.events(&self.thread, self.at, PAGE).await?;
        let more = rows.len() == PAGE;
        // Taken out: should this future be dropped, the states are folded anew.
        let mut fold = self.fold.take();
        let (mut at, mut read) = (self.at, Vec::new());
        for line in rows.iter().flat_map(|row| journal::split(&row.events)) {
            let Some(event) = event_of(&self.thread, line) else { continue };
            if event.seq <= at {
                continue;
            }
            if !follows(at, &event) {
                read.push(self.gap(at + 1, event.seq - 1));
            }
            at = event.seq;
            read.push(match event.kind {
                EventKind::StateUpdate => {
                    let mut folded = match fold.take() {
                        Some(folded) => folded,
                        None => self.folded(event.seq).await?,
                    };
                    let payload = self.whole(&mut folded, &event.payload).await?;
                    folded.upto = event.seq;
                    fold = Some(folded);
                    SinkEvent { payload, ..event }
                }
                EventKind::LlmStream
                | EventKind::ToolStart
                | EventKind::ToolEnd
                | EventKind::Error
                | EventKind::End
                | EventKind::Gap
                | EventKind::AttemptSuperseded => event,
            });
        }
        if self.shared.settings.python_compat {
            for event in &mut read {
                event.payload = compat::python(&event.payload);
            }
        }
        self.at = at;
        self.ready.extend(read);
        self.behind = more;
        self.fold = fold;
        self.take_ahead();
        Ok(())
    }

    fn gap(&self, from: u64, to: u64) -> SinkEvent {
        let payload = stream::gap(&self.thread, from, to);
        SinkEvent { thread_id: self.thread.clone(), seq: to, payload, kind: EventKind::Gap }
    }

    /// The states before the event with this number.
    async fn folded(&self, before: u64) -> Result<Folded, StoreError> {
        let mut folded = Folded::default();
        loop {
            let rows: Vec<JournalRow> =
                self.shared.backends.store.events(&self.thread, folded.upto, PAGE).await?;
            for line in rows.iter().flat_map(|row| journal::split(&row.events)) {
                let Some(head) = journal::head(&line) else { continue };
                if head.seq >= before {
                    return Ok(folded);
                }
                folded.upto = head.seq;
                if head.event_type == EventKind::StateUpdate.as_str() {
                    self.whole(&mut folded, &line).await?;
                }
            }
            if rows.len() < PAGE {
                return Ok(folded);
            }
        }
    }

    /// The whole update for a journalled change. Where the journal's beginning is gone the checkpoint helps.
    async fn whole(&self, folded: &mut Folded, line: &Bytes) -> Result<Bytes, StoreError> {
        match folded.states.apply(line) {
            Ok(whole) => Ok(whole),
            Err(unknown) => {
                let rows = self.shared.backends.store.load(&self.thread).await?.rows;
                let form = self.shared.settings.file_form;
                let Some(state) = state_at(&rows, &unknown.place, form) else { return Ok(line.clone()) };
                folded.states.put(&unknown.place.ns, state);
                Ok(folded.states.whole(line))
            }
        }
    }
}

/// Whether an event comes next after a number: by its own, or since it marks what was lost before it.
fn follows(at: u64, event: &SinkEvent) -> bool {
    if event.seq == at + 1 {
        return true;
    }
    event.kind == EventKind::AttemptSuperseded
        && Place::of(&event.payload).is_some_and(|place| {
            place.message_id.is_none() && place.from_seq.is_some_and(|from| from <= at + 1)
        })
}

fn event_of(thread: &Arc<str>, payload: Bytes) -> Option<SinkEvent> {
    let head = journal::head(&payload)?;
    let (kind, seq) = (EventKind::of(head.event_type)?, head.seq);
    Some(SinkEvent { thread_id: thread.clone(), seq, payload, kind })
}

/// An agent's state at the checkpoint that a job's super-step has put.
fn state_at(
    rows: &agent_langgraph_codec::Rows,
    place: &Place,
    form: agent_wire::FileForm,
) -> Option<StateText> {
    let is_it = |metadata: &str| {
        let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap_or_default();
        metadata.get("step").and_then(serde_json::Value::as_i64) == Some(place.step)
            && metadata.get(JOB_TAG).and_then(serde_json::Value::as_str) == Some(&place.job_id)
    };
    let checkpoints = || rows.checkpoints.iter().filter(|row| *row.ns == *place.ns);
    let head = &checkpoints().find(|row| is_it(&row.metadata))?.checkpoint_id;
    let mut until = rows.clone();
    until.checkpoints.retain(|row| row.checkpoint_id <= *head);
    let state = agent_langgraph_codec::load_graph(&until, &place.ns).ok().flatten()?;
    let todos = match state.values.get("todos") {
        Some(agent_langgraph_codec::ChannelValue::Json(todos)) => Some(todos.to_string().into_boxed_str()),
        Some(_) | None => None,
    };
    let messages =
        state.messages.iter().map(|message| stream::message_json(message).into_boxed_str()).collect();
    Some(StateText { messages, files: agent_wire::file_texts(&state.files, form), todos })
}

/// Under this name a checkpoint's metadata has its job.
const JOB_TAG: &str = "agent_executor_job_id";
