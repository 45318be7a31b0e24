//! What the tests of whole runs share: a thread in memory, and the loop that plays a run on it.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::VecDeque;

use agent_executor_core::{Effect, Event, Finish, Run, Stamp};
use agent_langgraph_codec::{GraphState, Rows, load_graph};

/// A thread as its rows, and a clock that moves by a nanosecond.
pub(crate) struct Thread {
    pub(crate) rows: Rows,
    begins_ns: u64,
    stamps: u64,
}

impl Thread {
    pub(crate) fn new(rows: Rows, begins_ns: u64) -> Self {
        Self { rows, begins_ns, stamps: 0 }
    }

    pub(crate) fn stamp(&mut self) -> Stamp {
        self.stamps += 1;
        Stamp { now_ns: self.begins_ns + self.stamps, seed: u128::from(self.stamps) }
    }

    /// The orchestrator's state as the store has it.
    pub(crate) fn state(&self) -> GraphState {
        load_graph(&self.rows, "").unwrap().unwrap()
    }

    /// Plays a run to its end. `answer` says what comes of a model or tool call; with `None` the worker dies in it.
    pub(crate) fn drive(
        &mut self,
        mut run: Run,
        first: Vec<Effect>,
        mut answer: impl FnMut(Effect) -> Option<Event>,
    ) -> Option<Finish> {
        let mut effects: VecDeque<Effect> = first.into();
        while let Some(effect) = effects.pop_front() {
            let event = match effect {
                call @ (Effect::AskModel { .. } | Effect::RunTool { .. }) => answer(call)?,
                Effect::Commit(commit) => {
                    self.store(commit.rows);
                    Event::Committed(commit.number)
                }
                Effect::Finish(finish) => {
                    self.store(finish.commit.rows.clone());
                    return Some(*finish);
                }
                Effect::Emit(_) => continue,
            };
            let stamp = self.stamp();
            effects.extend(run.handle(event, stamp));
        }
        panic!("the run stopped asking without an end");
    }

    fn store(&mut self, rows: Rows) {
        self.rows.checkpoints.extend(rows.checkpoints);
        self.rows.blobs.extend(rows.blobs);
        self.rows.writes.extend(rows.writes);
    }
}
