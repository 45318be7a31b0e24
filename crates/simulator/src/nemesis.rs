//! Who breaks the world from outside, until the faults end.

use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::Store;
use tokio::time::Instant;

use crate::node::{Node, Peer};
use crate::world::World;

/// Does one harm after another until the time is over.
pub(crate) async fn harm(world: Arc<World>) {
    let end = Instant::now() + world.plan.faults_for;
    while Instant::now() < end {
        let pause = world.dice.millis(200, world.plan.pause_between_faults);
        tokio::time::sleep_until(end.min(Instant::now() + pause)).await;
        if Instant::now() < end {
            one(&world).await;
        }
    }
}

async fn one(world: &Arc<World>) {
    let nodes = world.nodes();
    let Some(node) = world.dice.pick(&nodes).cloned() else { return };
    let short = world.dice.millis(500, 8_000);
    let long = world.dice.millis(1_000, 45_000);
    match world.dice.below(12) {
        0 => node.crash("killed"),
        1 => {
            told(world, &node, "is stopped", long);
            node.stop_for(long);
        }
        2 | 3 => {
            let peer = *world.dice.pick(&[Peer::Store, Peer::Queue, Peer::Results]).unwrap_or(&Peer::Store);
            told(world, &node, "is cut off", long);
            node.cut_off(peer, long);
        }
        4 => {
            world.ledger.trace(format_args!("the store is away for {short:?}"));
            world.ledger.count("store outage");
            world.store_away_for(short);
        }
        5 => {
            world.ledger.trace(format_args!("the disk is full for {short:?}"));
            world.ledger.count("disk full");
            world.disk_full_for(short);
        }
        6 => {
            let back = world.queue.restart(&world.dice);
            world.ledger.trace(format_args!("the queue restarts, {back} acknowledged messages are back"));
            world.ledger.count("queue restart");
        }
        7 => {
            if let Some(seq) = world.queue.lose_one(&world.dice) {
                world.ledger.trace(format_args!("the queue loses message {seq}"));
                world.ledger.count("message lost by the queue");
            }
        }
        8 | 9 => drain(world.clone(), node),
        10 => {
            let jobs = world.jobs();
            if let Some(job) = world.dice.pick(&jobs).filter(|_| world.dice.happens(3_000)) {
                world.ledger.trace(format_args!("{job} is cancelled"));
                world.ledger.count("cancel");
                // By whichever door: the request stands in the store.
                world.store.request_cancel(job).await.ok();
            }
        }
        _ => {
            let by = world.dice.pick(&[3_600_000, -3_600_000, -50_000_000_000, 30_000]).copied().unwrap_or(0);
            world.ledger.trace(format_args!("{}'s clock jumps by {by} ms", node.owner));
            world.ledger.count("clock jump");
            node.shift_clock(by);
        }
    }
}

fn told(world: &World, node: &Node, what: &'static str, time: Duration) {
    world.ledger.trace(format_args!("{} {what} for {time:?}", node.owner));
    world.ledger.count(what);
}

/// SIGTERM, and SIGKILL after the grace period.
fn drain(world: Arc<World>, node: Arc<Node>) {
    const BUDGET: Duration = Duration::from_secs(25);
    const GRACE: Duration = Duration::from_secs(30);
    let Some(executor) = node.executor.get().cloned().filter(|executor| !executor.is_draining()) else {
        return;
    };
    world.ledger.trace(format_args!("{} drains", node.owner));
    world.ledger.count("drain");
    tokio::spawn(async move {
        let doors = node.gone.clone();
        let drained = async {
            executor.drain(BUDGET).await;
            node.doors_closed().await;
        };
        let fitted = tokio::select! {
            biased;
            () = doors.cancelled() => return,
            () = drained => true,
            () = tokio::time::sleep(GRACE) => false,
        };
        if !fitted {
            world.ledger.count("drain killed after its grace");
        }
        world.ledger.trace(format_args!("{} is gone, drained: {fitted}", node.owner));
        node.end();
        world.restart_later(node.index);
    });
}
