//! What survives the death of a worker, and what never happens twice: over in-memory backends, without any server.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests stand outside of the test functions"
)]

#[path = "../common/mod.rs"]
mod common;
mod shaky;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent_checkpoint_store::{Begin, BeginRequest, JobStatus, NewJob, Snapshot, Store};
use agent_executor_runtime::{Executor, JobEnd, Submission};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use common::submit;
use world::{Fast, Model, Tools, World, calling, job, job_with};

#[tokio::test]
async fn an_at_most_once_call_is_never_made_twice_and_the_model_is_told() {
    let world = World::new(Tools::new(0));
    let first = world.worker("one", calling(&["once_slow"]));
    submit(&first, job("j", "t", &["once_slow"])).await;
    world.tools.until_called("once_slow", 1).await;
    world.kill(&first, "t");

    let second = world.worker("two", calling(&["once_slow"]));
    let end = submit(&second, job("j", "t", &["once_slow"])).await.ended().await;

    assert_eq!(end, JobEnd::Ended(JobStatus::Completed));
    assert_eq!(world.tools.calls_of("once_slow").len(), 1);
    let told = world.told("t").await;
    assert!(told.len() == 1 && told[0].contains("outcome of this call is unknown"), "{told:?}");
    assert_eq!(world.job("j").await.unclean_count, 1);
}

#[tokio::test]
async fn a_call_that_may_run_again_does_so_under_the_same_key() {
    for tool in ["pure_slow", "idempotent_slow"] {
        let world = World::new(Tools::new(0));
        let first = world.worker("one", calling(&[tool]));
        submit(&first, job("j", "t", &[tool])).await;
        world.tools.until_called(tool, 1).await;
        world.kill(&first, "t");

        let second = world.worker("two", calling(&[tool]));
        let handle = submit(&second, job("j", "t", &[tool])).await;
        world.tools.permits.add_permits(1);

        assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Completed));
        let keys = world.tools.calls_of(tool);
        assert_eq!((keys.len(), &keys[0]), (2, &keys[1]), "{tool}");
        assert_eq!(world.told("t").await, [format!("{tool} done")]);
    }
}

#[tokio::test]
async fn a_finished_parallel_call_is_not_repeated() {
    let names = ["once_quick", "pure_quick", "pure_slow"];
    let world = World::new(Tools::new(0));
    let first = world.worker("one", calling(&names));
    submit(&first, job("j", "t", &names)).await;
    for name in names {
        world.tools.until_called(name, 1).await;
    }
    // Both results are rows of their own.
    loop {
        let writes = world.store.inner.load("t").await.unwrap().rows.writes;
        if writes.iter().filter(|row| row.channel == "messages" && row.task_path.contains("push")).count()
            == 2
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    world.kill(&first, "t");

    let second = world.worker("two", calling(&names));
    let handle = submit(&second, job("j", "t", &names)).await;
    world.tools.permits.add_permits(1);

    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Completed));
    let counts = names.map(|name| world.tools.calls_of(name).len());
    assert_eq!(counts, [1, 1, 2]);
    assert_eq!(world.told("t").await, names.map(|name| format!("{name} done")));
}

#[tokio::test(start_paused = true)]
async fn no_call_begins_while_the_lease_is_not_heard_of() {
    let world = World::new(Tools::new(0));
    let breaks_after = Some(Duration::from_secs(30));
    let model = Arc::new(Model { breaks_after, ..Model::default() });
    let worker = world.worker("one", model.clone());
    worker.start();
    let handle = submit(&worker, job("j", "t", &[])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(model.asked.load(Ordering::SeqCst), 1);

    world.store.away.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(model.asked.load(Ordering::SeqCst), 1, "its stream broke, and it is not asked again");

    world.store.away.store(false, Ordering::SeqCst);
    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Completed));
    assert_eq!(model.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_store_stays_away_is_handed_back() {
    let world = World::new(Tools::new(0));
    let breaks_after = Some(Duration::from_secs(30));
    let worker = world.worker("one", Arc::new(Model { breaks_after, ..Model::default() }));
    worker.start();
    let handle = submit(&worker, job("j", "t", &[])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.store.away.store(true, Ordering::SeqCst);
    assert_eq!(handle.ended().await, JobEnd::HandedBack, "after ten minutes");
}

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once_and_a_running_one_where_it_runs() {
    let world = World::new(Tools::new(0));
    let hold = Arc::new(Semaphore::new(0));
    let worker = world.worker("one", Arc::new(Model { hold: Some(hold), ..Model::default() }));
    let first = submit(&worker, job("j1", "t", &[])).await;
    let slot = worker.direct_slot().await.unwrap();
    let queued = worker.submit(job("j2", "t", &[]), slot).await.unwrap();
    assert!(matches!(queued, Submission::Queued { .. }), "{queued:?}");

    let cancelled = worker.cancel("j2").await.unwrap().unwrap();
    assert_eq!(cancelled.status, JobStatus::Cancelled);
    worker.cancel("j1").await.unwrap();
    assert_eq!(first.ended().await, JobEnd::Ended(JobStatus::Cancelled));

    assert!(worker.cancel("nobody").await.unwrap().is_none());
    let events = world.published.events();
    let types: Vec<_> = events.iter().map(|event| &event["data"]["error"]["type"]).collect();
    assert_eq!(types, ["Cancelled", "Cancelled"]);
    let rows = world.store.inner.load("t").await.unwrap().rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    assert!(state.tasks.is_empty(), "the thread is at rest: {:?}", state.tasks);
    assert_eq!(state.messages.len(), 1, "the queued job left no trace");
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_and_its_transcript_healed() {
    let world = World::new(Tools::new(0));
    let worker = world.worker("one", calling(&["once_slow"]));
    let handle = submit(&worker, job("j", "t", &["once_slow"])).await;
    world.tools.until_called("once_slow", 1).await;
    worker.cancel("j").await.unwrap();
    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Cancelled));
    let told = world.told("t").await;
    assert!(told.len() == 1 && told[0].contains("did not complete"), "{told:?}");
    assert_eq!(world.published.events()[0]["data"]["error"]["code"], "job.cancelled");
}

#[tokio::test]
async fn a_job_whose_worker_vanished_is_cancelled_by_whoever_is_asked() {
    let world = World::new(Tools::new(0));
    let first = world.worker("one", calling(&["once_slow"]));
    submit(&first, job("j", "t", &["once_slow"])).await;
    world.tools.until_called("once_slow", 1).await;
    world.kill(&first, "t");

    let second = world.worker("two", calling(&[]));
    second.cancel("j").await.unwrap();
    let ended = second.wait("j").await.unwrap().unwrap();
    assert_eq!(ended.status, JobStatus::Cancelled);
    assert!(world.told("t").await[0].contains("did not complete"));
    assert_eq!(world.tools.calls_of("once_slow").len(), 1);
}

#[tokio::test]
async fn deadlines_are_the_stores_and_not_the_workers() {
    let mut world = World::new(Tools::new(0));
    world.clock = Arc::new(Fast);
    let deadline = json!({ "deadline_seconds": 1800 });
    let first = world.worker("one", calling(&["pure_slow"]));
    submit(&first, job_with("j", "t", &["pure_slow"], &deadline)).await;
    world.tools.until_called("pure_slow", 1).await;
    world.kill(&first, "t");

    let second = world.worker("two", calling(&["pure_slow"]));
    world.tools.permits.add_permits(1);
    let end = submit(&second, job_with("j", "t", &["pure_slow"], &deadline)).await.ended().await;
    assert_eq!(
        end,
        JobEnd::Ended(JobStatus::Completed),
        "half an hour is left, whatever the worker's clock says"
    );
}

#[tokio::test]
async fn a_deadline_is_kept_for_a_job_that_nobody_holds() {
    let world = World::new(Tools::new(0));
    let deadline = json!({ "deadline_seconds": 0.05 });
    let first = world.worker("one", calling(&["pure_slow"]));
    submit(&first, job_with("j", "t", &["pure_slow"], &deadline)).await;
    world.tools.until_called("pure_slow", 1).await;
    world.kill(&first, "t");

    let second = world.worker("two", calling(&[]));
    second.start();
    let ended = second.wait("j").await.unwrap().unwrap();
    assert_eq!(ended.status, JobStatus::Failed);
    assert_eq!(world.published.events()[0]["data"]["error"]["type"], "DeadlineExceeded");
}

#[tokio::test]
async fn a_job_whose_message_never_comes_back_is_picked_up_by_the_one_that_is_elected() {
    let world = World::new(Tools::new(0));
    let first = world.worker("one", calling(&["pure_slow"]));
    submit(&first, job("j", "t", &["pure_slow"])).await;
    world.tools.until_called("pure_slow", 1).await;
    world.kill(&first, "t");
    world.tools.permits.add_permits(1);

    let others = ["two", "three"].map(|owner| world.worker(owner, calling(&[])));
    others.iter().for_each(Executor::start);
    let ended = others[0].wait("j").await.unwrap().unwrap();
    assert_eq!(ended.status, JobStatus::Completed);
    assert_eq!(world.tools.calls_of("pure_slow").len(), 2, "taken over once");
}

#[tokio::test]
async fn a_run_that_panics_is_left_to_another_worker() {
    let world = World::new(Tools::new(0));
    let buggy = Arc::new(Model { panics: AtomicBool::new(true), ..Model::default() });
    let first = world.worker("one", buggy);
    assert_eq!(submit(&first, job("j", "t", &[])).await.ended().await, JobEnd::HandedBack);
    assert_eq!(first.in_work(), 0, "it renews nothing");
    world.store.inner.expire("t");

    let second = world.worker("two", calling(&[]));
    let end = submit(&second, job("j", "t", &[])).await.ended().await;
    assert_eq!(end, JobEnd::Ended(JobStatus::Completed));
    assert_eq!(world.job("j").await.unclean_count, 1, "it counts as a loss");
}

#[tokio::test]
async fn a_job_that_loses_too_many_workers_fails_and_says_so() {
    let world = World::new(Tools::new(0));
    for n in 0..6 {
        let worker = world.worker(&format!("worker-{n}"), calling(&["pure_slow"]));
        submit(&worker, job("j", "t", &["pure_slow"])).await;
        world.tools.until_called("pure_slow", n + 1).await;
        world.kill(&worker, "t");
    }
    let last = world.worker("last", calling(&["pure_slow"]));
    let end = submit(&last, job("j", "t", &["pure_slow"])).await.ended().await;
    assert_eq!(end, JobEnd::Ended(JobStatus::Failed));
    assert_eq!(world.tools.calls_of("pure_slow").len(), 6);
    let event = &world.published.events()[0];
    assert_eq!(event["data"]["error"]["type"], "PoisonJob");
    assert_eq!(event["data"]["error"]["code"], "job.poison");
}

#[tokio::test]
async fn a_deleted_thread_has_its_job_cancelled_first() {
    let world = World::new(Tools::new(0));
    let worker = world.worker("one", calling(&["once_slow"]));
    submit(&worker, job("j", "t", &["once_slow"])).await;
    world.tools.until_called("once_slow", 1).await;

    assert!(worker.delete_thread("t").await.unwrap());

    assert_eq!(world.published.events()[0]["data"]["error"]["type"], "Cancelled");
    assert_eq!(world.store.inner.load("t").await.unwrap(), Snapshot::default());
    assert!(world.store.inner.job("j").await.unwrap().is_none());
    assert!(!worker.delete_thread("t").await.unwrap());
}

#[tokio::test]
async fn no_job_is_fetched_while_the_providers_are_down() {
    let world = World::new(Tools::new(0));
    let model = calling(&[]);
    let worker = world.worker("one", model.clone());
    assert!(worker.slot().await.is_some());
    model.down.store(true, Ordering::SeqCst);
    assert_eq!(worker.obstacle(), Some("provider_down"));
    let waiting = tokio::time::timeout(Duration::from_millis(50), worker.slot()).await;
    assert!(waiting.is_err(), "the fetch is paused");
    model.down.store(false, Ordering::SeqCst);
    assert!(worker.slot().await.is_some());
    model.down.store(true, Ordering::SeqCst);
    let (drained, slot) = tokio::join!(worker.drain(Duration::from_secs(10)), worker.slot());
    assert!(drained, "nothing is in work");
    assert!(slot.is_none(), "a paused fetch does not keep a worker from stopping");
}

#[tokio::test]
async fn one_result_that_cannot_leave_does_not_keep_the_others() {
    let world = World::new(Tools::new(0));
    world.published.refused.lock().unwrap().push("stuck".to_owned());
    let worker = world.worker("one", calling(&[]));
    for thread in ["stuck", "a", "b"] {
        submit(&worker, job(thread, thread, &[])).await.ended().await;
    }
    worker.start();
    while world.published.sent.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    world.published.refused.lock().unwrap().clear();
    while world.published.sent.lock().unwrap().iter().all(|message| *message.thread_id != *"stuck") {
        tokio::task::yield_now().await;
    }
    let ids = world
        .published
        .sent
        .lock()
        .unwrap()
        .iter()
        .map(|message| message.id.clone())
        .collect::<BTreeSet<_>>();
    assert_eq!(ids.len(), 3, "one id for each result");
}

#[tokio::test]
async fn a_stored_job_that_nobody_can_read_fails_and_leaves_no_hole_in_the_events() {
    let world = World::new(Tools::new(0));
    let job = NewJob {
        job_id: Arc::from("j1"),
        thread_id: Arc::from("t1"),
        payload_hash: "hash".to_owned(),
        request: Bytes::from_static(b"{"),
        deadline: None,
    };
    let request = BeginRequest { job, owner: Arc::from("a worker that is gone"), fresh: None };
    let begun = world.store.begin(request).await.unwrap();
    assert!(matches!(begun, Begin::Started { .. }), "{begun:?}");
    world.store.inner.expire("t1");

    let worker = world.worker("two", calling(&[]));
    worker.start();
    let ended = worker.wait("j1").await.unwrap().unwrap();

    assert_eq!(ended.status, JobStatus::Failed);
    let event = &world.published.events()[0];
    assert_eq!(event["data"]["error"]["code"], "input.stored");
    let rows = world.store.events("t1", 0, 10).await.unwrap();
    let lines: Vec<Value> = rows
        .iter()
        .flat_map(|row| agent_wire::journal::split(&row.events))
        .map(|line| serde_json::from_slice(&line).unwrap())
        .collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["event_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["attempt_superseded", "error", "end"]);
    assert_eq!(lines[0]["data"]["from_seq"], 1, "the numbers of the one that is gone are accounted for");
}
