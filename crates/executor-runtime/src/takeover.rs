//! What a lost worker has told that does not count any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent_checkpoint_store::{JobRecord, Store, StoreError};
use agent_executor_core::AgentLabel;
use agent_wire::journal::{self, Place};
use bytes::Bytes;

use crate::deltas;
use crate::outlet::Outlet;

/// Rows of one question.
const PAGE: usize = 256;

/// Text that was journalled while its call was in flight: first number and place, by message.
type Open = BTreeMap<String, (u64, Place)>;

/// Marks everything that came after the journal's end, and the text of calls that were in flight. First thing under
/// a lease that was taken over.
pub(crate) async fn mark(outlet: &mut Outlet, store: &dyn Store, job: &JobRecord) -> Result<(), StoreError> {
    let (mut last, mut open) = (0, Open::new());
    loop {
        let rows = store.events(&job.thread_id, last, PAGE).await?;
        for row in &rows {
            last = last.max(row.last_seq);
            for line in journal::split(&row.events) {
                note(&mut open, &line);
            }
        }
        if rows.len() < PAGE {
            break;
        }
    }
    outlet.supersede_all(last + 1);
    for (message_id, (from, place)) in open {
        let label =
            place.agent.map(|agent| AgentLabel { agent: Arc::from(agent), ns: Arc::from(place.ns.as_str()) });
        let place = deltas::Place {
            label,
            step: place.step,
            attempt: place.attempt,
            message_id: Arc::from(message_id),
            source: None,
        };
        outlet.supersede_text(&place, from);
    }
    Ok(())
}

fn note(open: &mut Open, line: &Bytes) {
    let Some(head) = journal::head(line) else { return };
    match head.event_type {
        "on_llm_stream" => {
            let Some(place) = Place::of(line) else { return };
            let Some(message_id) = place.message_id.clone() else { return };
            open.entry(message_id).or_insert((head.seq, place));
        }
        // A call's end is a step's end, and that changes the state of its agent.
        "on_state_update" => {
            let Some(ended) = Place::of(line) else { return };
            open.retain(|_, (_, place)| place.ns != ended.ns || place.step > ended.step);
        }
        "attempt_superseded" => {
            let Some(marker) = Place::of(line) else { return };
            if let Some(message_id) = &marker.message_id {
                open.remove(message_id);
            }
        }
        "end" => open.clear(),
        _ => {}
    }
}
