//! Interpreters kept ready, by set of scripts. Each is used once: nothing of one call is there for another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_executor_core::ScriptTool;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tracing::{debug, warn};

use super::answer;
use super::launch::{Launcher, Lost, Outcome, Process};
use super::settings::ScriptSettings;
use crate::ToolHostError;

/// A tool as its script shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Seen {
    pub(super) description: String,
    pub(super) parameters: Value,
    /// Fields of the state that it is given; `*` is all of it.
    pub(super) needs: Vec<String>,
    /// Its result is the agent's answer.
    pub(super) return_direct: bool,
}

/// An interpreter with its scripts loaded.
#[derive(Debug)]
pub(super) struct Warm {
    pub(super) process: Process,
    pub(super) tools: Vec<Seen>,
}

#[derive(Debug)]
struct Set {
    scripts: Arc<[ScriptTool]>,
    ready: Vec<Warm>,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) settings: ScriptSettings,
    launcher: OnceCell<Launcher>,
    slots: Semaphore,
    /// Most recently used first.
    sets: Mutex<VecDeque<Set>>,
}

impl Pool {
    pub(super) fn new(settings: ScriptSettings) -> Self {
        let slots = Semaphore::new(settings.concurrent.max(1));
        Self { settings, launcher: OnceCell::new(), slots, sets: Mutex::default() }
    }

    /// Waits for its turn; `None` cannot happen, since nobody closes the semaphore.
    pub(super) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// A fresh interpreter, confined; nothing of a definition has run in it.
    pub(super) async fn interpreter(&self) -> Result<Process, ToolHostError> {
        let found = self.launcher.get_or_try_init(|| Launcher::find(&self.settings)).await;
        let launcher = found.map_err(|reason| ToolHostError::NoSandbox { reason })?;
        match launcher.start(&self.settings).await {
            // The machine may be short of something for a moment; a job must not fail for that.
            Err(Lost::Io(error)) => {
                warn!(event = "tool_launcher_started_again", %error);
                launcher.start(&self.settings).await.map_err(no_sandbox)
            }
            started => started.map_err(no_sandbox),
        }
    }

    /// A fresh interpreter with these scripts.
    pub(super) async fn start(pool: &Arc<Self>, scripts: &Arc<[ScriptTool]>) -> Result<Warm, ToolHostError> {
        let mut process = pool.interpreter().await?;
        let sources: Vec<Value> =
            scripts.iter().map(|tool| json!({"name": tool.name, "script": tool.script})).collect();
        let (report, reply) = process.ask(&json!({"load": sources})).await.map_err(no_sandbox)?;
        let unusable = |index: usize, reason: String| ToolHostError::Unusable {
            index,
            name: scripts.get(index).map(|tool| tool.name.clone()).unwrap_or_default(),
            reason,
        };
        if report.outcome != Outcome::Reply {
            return Err(unusable(0, answer::ended(&report, &pool.settings.limits)));
        }
        match serde_json::from_slice(&reply) {
            Ok(Loaded::Tools { tools }) if tools.len() == scripts.len() => Ok(Warm { process, tools }),
            Ok(Loaded::Failed { failed, reason }) => Err(unusable(failed, reason)),
            Ok(Loaded::Tools { .. }) | Err(_) => {
                Err(unusable(0, "the script disturbed its loading".to_owned()))
            }
        }
    }

    /// One that is ready, or a fresh one; the next is started behind the caller's back.
    pub(super) async fn take(pool: &Arc<Self>, scripts: &Arc<[ScriptTool]>) -> Result<Warm, ToolHostError> {
        let (ready, left) = pool.ready(scripts);
        if left < pool.settings.warm {
            let (behind, again) = (Arc::downgrade(pool), Arc::clone(scripts));
            // Ends by itself: one start, bounded by the launcher's limits.
            tokio::spawn(async move {
                let Some(pool) = behind.upgrade() else { return };
                match Self::start(&pool, &again).await {
                    Ok(warm) => pool.keep(&again, warm),
                    // The next call starts its own, and tells its error.
                    Err(error) => debug!(event = "tool_script_not_warmed", %error),
                }
            });
        }
        match ready {
            Some(warm) => Ok(warm),
            None => Self::start(pool, scripts).await,
        }
    }

    /// One that still lives, and how many are left.
    fn ready(&self, scripts: &Arc<[ScriptTool]>) -> (Option<Warm>, usize) {
        let mut sets = self.lock();
        let at = sets.iter().position(|set| same(&set.scripts, scripts));
        let Some(mut set) = at.and_then(|at| sets.remove(at)) else { return (None, 0) };
        set.ready.retain_mut(|warm| warm.process.lives());
        let ready = set.ready.pop();
        let left = set.ready.len();
        sets.push_front(set);
        (ready, left)
    }

    /// Keeps an unused interpreter, if there is room.
    pub(super) fn keep(&self, scripts: &Arc<[ScriptTool]>, warm: Warm) {
        let settings = &self.settings;
        let mut sets = self.lock();
        let at = sets.iter().position(|set| same(&set.scripts, scripts));
        let mut set = at
            .and_then(|at| sets.remove(at))
            .unwrap_or_else(|| Set { scripts: Arc::clone(scripts), ready: Vec::new() });
        if set.ready.len() < settings.warm {
            set.ready.push(warm);
        }
        sets.push_front(set);
        sets.truncate(settings.warm_sets);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Set>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn no_sandbox(lost: Lost) -> ToolHostError {
    let reason = match lost {
        Lost::Refused(reason) => {
            format!("{reason} (TOOL_SCRIPTS_UNCONFINED=true runs them where the kernel cannot confine them)")
        }
        Lost::Io(error) => error.to_string(),
    };
    ToolHostError::NoSandbox { reason }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loaded {
    Tools { tools: Vec<Seen> },
    Failed { failed: usize, reason: String },
}

fn same(one: &Arc<[ScriptTool]>, other: &Arc<[ScriptTool]>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
