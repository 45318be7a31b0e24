//! What runs next. It is stored nowhere: it follows from versions, values and the writes on the head.

use super::walk::Index;
use super::{BRANCH, NULL_TASK};
use crate::checkpoint::Checkpoint;
use crate::id::{task_id_pull, task_id_push, task_path_pull, task_path_push};
use crate::rows::WriteRow;
use crate::send::Send;

/// One task of a super-step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The id under which its writes are stored.
    pub id: String,
    /// Its `task_path`.
    pub path: String,
    /// The node that it runs.
    pub node: String,
    /// Why it runs.
    pub kind: TaskKind,
    /// Its output is stored: it is not run again.
    pub finished: bool,
    /// It asked a question and did not finish.
    pub interrupted: bool,
}

/// Why a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// A channel triggered its node.
    Pull,
    /// The Send at this position.
    Push(usize),
}

/// Tasks of the step after the checkpoint, as `get_state` finds them (whatever `updated_channels` says).
/// In checkpoints of format 1 Python derives ids by SHA-1: there every task counts as unfinished.
pub(super) fn scheduled(
    ns: &str,
    checkpoint: &Checkpoint,
    step: i64,
    sends: &[Send],
    index: &Index<'_>,
    pending: &[WriteRow],
) -> Vec<Task> {
    let (id, step) = (checkpoint.id.as_str(), step.saturating_add(1));
    let pushes = sends.iter().enumerate().map(|(at, send)| {
        let task_id = task_id_push(id, ns, step, &send.node, at);
        task(task_id, task_path_push(at), &send.node, TaskKind::Push(at), pending)
    });
    let mut triggers: Vec<(&str, &str)> = checkpoint
        .channel_versions
        .iter()
        .filter(|(channel, version)| index.has_value(checkpoint, channel, version))
        .filter_map(|(channel, version)| {
            let node = if channel == "__start__" { channel } else { channel.strip_prefix(BRANCH)? };
            is_newer(checkpoint, node, channel, version).then_some((node, channel.as_str()))
        })
        .collect();
    triggers.sort_unstable();
    let pulls = triggers.into_iter().map(|(node, channel)| {
        let task_id = task_id_pull(id, ns, step, node, &[channel]);
        task(task_id, task_path_pull(node), node, TaskKind::Pull, pending)
    });
    pushes.chain(pulls).collect()
}

/// Whether the node has not run on this version of its trigger. Versions compare as strings.
fn is_newer(checkpoint: &Checkpoint, node: &str, channel: &str, version: &str) -> bool {
    let Some(seen) = checkpoint.versions_seen.get(node) else { return true };
    version > seen.get(channel).map_or("", String::as_str)
}

fn task(id: String, path: String, node: &str, kind: TaskKind, pending: &[WriteRow]) -> Task {
    let mut finished = false;
    let mut asked = false;
    for write in pending.iter().filter(|write| write.task_id == id && write.task_id != NULL_TASK) {
        match write.channel.as_str() {
            "__interrupt__" => asked = true,
            "__error__" | "__error_source_node__" | "__resume__" => {}
            _ => finished = true,
        }
    }
    Task { id, path, node: node.to_owned(), kind, finished, interrupted: asked && !finished }
}
