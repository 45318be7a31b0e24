//! A stream sink that keeps each thread's events in a file of frames: four bytes of length, then the event.
//!
//! Written as somebody outside of this repository would write it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use agent_stream_sink::{GapPayload, SinkEvent, StreamSink};
use async_trait::async_trait;

/// Events that wait for the disk; past that the oldest of the same thread makes room.
const WAITING: usize = 10_000;

/// A sink that writes files; its own thread does the writing, so that `publish` never waits for a disk.
pub struct FileSink {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    folder: PathBuf,
    gap: GapPayload,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<SinkEvent>,
    /// First and last number of what was dropped, by thread; what waits of that thread is newer.
    lost: BTreeMap<Arc<str>, (u64, u64)>,
    /// Taken from the queue and not yet on the disk.
    writing: bool,
    failing: bool,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer: takes what waits, writes it, until the sink is dropped and nothing waits.
    fn write(&self) {
        let mut state = self.lock();
        loop {
            while state.waiting.is_empty() {
                if state.closed {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let (events, lost) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.lost));
            state.writing = true;
            drop(state);
            let failing = self.append_all(events, lost).is_err();
            state = self.lock();
            state.writing = false;
            state.failing = failing;
        }
    }
}

impl Shared {
    fn append_all(
        &self,
        events: VecDeque<SinkEvent>,
        mut lost: BTreeMap<Arc<str>, (u64, u64)>,
    ) -> io::Result<()> {
        for event in events {
            if let Some((from, to)) = lost.remove(&event.thread_id) {
                append(&self.folder, &event.thread_id, &(self.gap)(&event.thread_id, from, to))?;
            }
            append(&self.folder, &event.thread_id, &event.payload)?;
        }
        Ok(())
    }
}

impl FileSink {
    /// A sink that writes below `folder`, which must be there. `gap` encodes the marker for events that were dropped.
    ///
    /// # Errors
    /// When `folder` is none, or no thread can be started.
    pub fn new(folder: impl Into<PathBuf>, gap: GapPayload) -> io::Result<Self> {
        let folder = folder.into();
        if !folder.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} is no folder", folder.display()),
            ));
        }
        let shared = Arc::new(Shared { folder, gap, state: Mutex::default(), changed: Condvar::new() });
        let writing = shared.clone();
        let writer =
            std::thread::Builder::new().name("file-sink".to_owned()).spawn(move || writing.write())?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Where the events of a thread stand. Thread ids are letters, digits and `._:@-`, so they may be names.
    pub fn path(folder: &Path, thread: &str) -> PathBuf {
        folder.join(format!("thread-{thread}"))
    }
}

fn append(folder: &Path, thread: &str, payload: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(FileSink::path(folder, thread))?;
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(4 + payload.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(payload);
    file.write_all(&frame)
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(writer) = self.writer.take() {
            // What still waits is written first.
            writer.join().ok();
        }
    }
}

#[async_trait]
impl StreamSink for FileSink {
    fn publish(&self, event: SinkEvent) {
        let mut state = self.shared.lock();
        state.waiting.push_back(event.clone());
        if state.waiting.len() > WAITING
            && let Some(at) = state.waiting.iter().position(|old| old.thread_id == event.thread_id)
            && let Some(oldest) = state.waiting.remove(at)
        {
            let lost = state.lost.entry(oldest.thread_id).or_insert((oldest.seq, oldest.seq));
            lost.1 = oldest.seq;
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    async fn flush(&self, limit: Duration) -> bool {
        let done = || {
            let state = self.shared.lock();
            state.waiting.is_empty() && !state.writing
        };
        tokio::time::timeout(limit, async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .is_ok()
            || done()
    }

    async fn healthy(&self) -> bool {
        self.shared.folder.is_dir() && !self.shared.lock().failing
    }
}
