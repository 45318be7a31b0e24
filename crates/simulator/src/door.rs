//! The door that pulls, as agent-transport-nats does it: fetch into free slots, answer by what became of the job.

use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::Store;
use agent_executor_core::audit::{Fact, Sometimes};
use agent_executor_runtime::{Executor, JobEnd, JobHandle, Slot, Submission};
use agent_wire::{JobRequest, RawMessage, Refusal};
use futures_util::FutureExt;
use tokio_util::task::TaskTracker;

use crate::jobs;
use crate::node::{Node, Peer};
use crate::plan::Planted;
use crate::queue::{ACK_WAIT, Delivery};

const SUBJECT: &str = "agent.execute.job";
const BACK_OFF: Duration = Duration::from_secs(5);
const PULL_EXPIRES: Duration = Duration::from_secs(30);

enum Answer {
    Ack,
    Nak(Duration),
    Term,
}

/// Pulls until the executor drains or the worker dies, then waits until every message is answered.
pub(crate) async fn consume(node: Arc<Node>, executor: Executor) {
    let deliveries = TaskTracker::new();
    while let Some(first) = executor.slot().await {
        let mut slots = vec![first];
        while let Some(slot) = executor.free_slot() {
            slots.push(slot);
        }
        node.point("fetch").await;
        if node.is_cut_off(Peer::Queue) {
            drop(slots);
            tokio::time::sleep(Duration::from_secs(2)).await;
            continue;
        }
        let draining = executor.draining();
        let fetched = tokio::select! {
            biased;
            () = draining.cancelled() => break,
            fetched = node.world.queue.fetch(slots.len(), PULL_EXPIRES) => fetched,
        };
        for delivery in fetched {
            let Some(slot) = slots.pop() else { break };
            let (node, executor) = (node.clone(), executor.clone());
            let gone = node.gone.clone();
            deliveries.spawn(async move {
                tokio::select! {
                    biased;
                    () = gone.cancelled() => {}
                    () = handle(&node, &executor, delivery, slot) => {}
                }
            });
        }
    }
    deliveries.close();
    deliveries.wait().await;
}

async fn handle(node: &Arc<Node>, executor: &Executor, delivery: Delivery, slot: Slot) {
    let ledger = &node.world.ledger;
    if delivery.delivered > 1 {
        ledger.sometimes(Sometimes::DuplicateDelivery);
    }
    ledger
        .trace(format_args!("{} gets message {} for time {}", node.owner, delivery.seq, delivery.delivered));
    let answer = decide(node, executor, &delivery, slot).await;
    let Some(answer) = answer else { return };
    node.point("ack").await;
    if node.is_cut_off(Peer::Queue) {
        return;
    }
    match answer {
        Answer::Ack | Answer::Term => {
            settled(node, &delivery);
            node.world.queue.ack(delivery.seq);
        }
        Answer::Nak(delay) => node.world.queue.nak(delivery.seq, delay),
    }
    node.point("after ack").await;
}

/// Notes an acknowledgement, with what the store says at that instant.
fn settled(node: &Node, delivery: &Delivery) {
    let job: Arc<str> = jobs::job_id_in(&delivery.body).into();
    // The memory store answers at once.
    let record = node.world.store.job(&job).now_or_never();
    let ended = matches!(record, Some(Ok(Some(job))) if job.status.is_terminal());
    let settled = ended || node.world.ledger.lock().dead.contains(&delivery.seq);
    node.world.ledger.trace(format_args!("{} settles message {} of {job}", node.owner, delivery.seq));
    node.world.ledger.fact(Fact::Acked { job, settled });
}

async fn decide(node: &Arc<Node>, executor: &Executor, delivery: &Delivery, slot: Slot) -> Option<Answer> {
    let limits = &executor.settings().limits;
    let request = match JobRequest::parse(&delivery.body, &[], limits, None) {
        Ok(request) => request,
        Err(refusal) => return Some(refuse(executor, delivery, &refusal).await),
    };
    let reused = Refusal::job_id_reused(&request.job_id);
    let job_id: Arc<str> = request.job_id.as_arc();
    match executor.submit(request, slot).await {
        Ok(Submission::Running(handle)) => after(node, executor, delivery, &job_id, handle).await,
        Ok(Submission::Queued { retry_in }) => {
            node.world.ledger.sometimes(Sometimes::LeaseConflict);
            Some(Answer::Nak(retry_in + node.world.dice.millis(0, 5_000)))
        }
        Ok(Submission::Done(job)) => {
            if delivery.delivered <= 1 {
                executor.resend(&job).await;
            }
            Some(Answer::Ack)
        }
        Ok(Submission::IdReused) => Some(refuse(executor, delivery, &reused).await),
        Err(_) => Some(Answer::Nak(BACK_OFF)),
    }
}

async fn after(
    node: &Arc<Node>,
    executor: &Executor,
    delivery: &Delivery,
    job_id: &Arc<str>,
    handle: JobHandle,
) -> Option<Answer> {
    if node.world.options.planted == Some(Planted::EarlyAck) {
        return Some(Answer::Ack);
    }
    let ended = handle.ended();
    tokio::pin!(ended);
    let end = loop {
        tokio::select! {
            biased;
            end = &mut ended => break end,
            () = tokio::time::sleep(ACK_WAIT / 3) => {
                node.point("progress").await;
                if !node.is_cut_off(Peer::Queue) {
                    node.world.queue.progress(delivery.seq);
                }
            }
        }
    };
    node.world.ledger.trace(format_args!("{} {job_id}: {end:?}", node.owner));
    match end {
        JobEnd::Ended(_) => Some(Answer::Ack),
        JobEnd::Fenced => None,
        JobEnd::HandedBack if executor.is_draining() => {
            node.world.ledger.lock().drained.insert(job_id.clone(), node.owner.clone());
            Some(Answer::Nak(Duration::ZERO))
        }
        JobEnd::HandedBack => Some(Answer::Nak(BACK_OFF)),
    }
}

async fn refuse(executor: &Executor, delivery: &Delivery, refusal: &Refusal) -> Answer {
    let raw = RawMessage { source: "SIMULATED", seq: delivery.seq, subject: SUBJECT, body: &delivery.body };
    match executor.refuse(&raw, refusal).await {
        Ok(()) => Answer::Term,
        Err(_) => Answer::Nak(BACK_OFF),
    }
}
