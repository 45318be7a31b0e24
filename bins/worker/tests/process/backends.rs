//! The worker as a process whose backends are there and do not serve: no room on the disk, servers that hang; and rows that
//! have lain there for too long.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests stand outside of the test functions, and say why they skip"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use agent_testkit::until;
use serde_json::Value;

use crate::common::{PATIENCE, Plan, Stack, http, job};

/// A job whose model goes on for about so many seconds.
fn slow(job_id: &str, seconds: u32) -> Value {
    job(job_id, &format!("hello tokens={} delay_ms=100", seconds * 10))
}

async fn until_counted(stack: &Stack, name: &str, least: f64) {
    let counted = async || (stack.metric(name).await? >= least).then_some(());
    until(name, PATIENCE, counted).await.unwrap();
}

/// Result events in their stream; waits until so many are there.
async fn results(stack: &Stack, expected: u64) {
    let context = stack.jetstream().await;
    let mut found = 0;
    let all = async || {
        found = context.get_stream("AGENT_STATUS").await.ok()?.info().await.ok()?.state.messages;
        (found >= expected).then_some(())
    };
    until("every result is in its stream", PATIENCE, all).await.unwrap();
    stack.settled().await;
    let mut stream = context.get_stream("AGENT_STATUS").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, expected, "each once");
}

async fn lives(stack: &Stack) {
    assert_eq!(http(stack.port, "GET", "/health", "").await.unwrap().0, 200, "liveness needs no backend");
}

/// Waits until `/ready` answers with this status, and with these words for the cache, the database and the broker.
async fn until_ready_says(stack: &Stack, status: u16, [dragonfly, postgres, nats]: [bool; 3]) {
    let expected = serde_json::json!({ "dragonfly": dragonfly, "postgres": postgres, "nats": nats });
    let says = async || {
        let (answered, body) =
            tokio::time::timeout(PATIENCE, http(stack.port, "GET", "/ready", "")).await.ok()??;
        let body: Value = serde_json::from_str(&body).ok()?;
        (answered == status && body.get("services") == Some(&expected)).then_some(())
    };
    until(&format!("/ready says {status} and {expected}"), PATIENCE, says).await.unwrap();
}

/// What takes the room away, and gives it back.
trait Disk {
    async fn fill(&self, stack: &Stack);
    async fn free(&self, stack: &Stack);
}

/// Where nothing may be mounted: every write is refused with the server's own code for a full disk.
struct Refusing;

const WRITTEN: [&str; 8] = [
    "checkpoints",
    "checkpoint_blobs",
    "checkpoint_writes",
    "agent_jobs",
    "agent_leases",
    "agent_steps",
    "agent_outbox",
    "agent_events",
];

impl Disk for Refusing {
    async fn fill(&self, stack: &Stack) {
        let mut script = "create function no_room() returns trigger language plpgsql as $$ begin
            raise exception 'could not extend file: No space left on device' using errcode = '53100';
            end $$;"
            .to_owned();
        for table in WRITTEN {
            script.push_str(&format!(
                "create trigger no_room before insert or update on {table} execute function no_room();"
            ));
        }
        stack.postgres().await.batch_execute(&script).await.unwrap();
    }

    async fn free(&self, stack: &Stack) {
        stack.postgres().await.batch_execute("drop function no_room cascade").await.unwrap();
    }
}

/// A file system of its own for the tables, and a file that takes all that is left of it.
struct Small {
    mounted: PathBuf,
    _folder: tempfile::TempDir,
}

impl Small {
    /// `None`, said, where this user may mount nothing, or the server is not one of this machine.
    async fn mount(stack: &Stack) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("small");
        std::fs::create_dir(&mounted).unwrap();
        // The server's own user owns it, and reaches it.
        open_to_all(folder.path());
        let id = |flag: &str| {
            let asked = Command::new("id").args([flag, "postgres"]).output().unwrap();
            String::from_utf8(asked.stdout).unwrap().trim().to_owned()
        };
        let options = format!("size=24m,mode=0700,uid={},gid={}", id("-u"), id("-g"));
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&mounted).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no file system can be mounted here; the stand-in for a full disk serves");
            return None;
        }
        let small = Self { mounted, _folder: folder };
        let postgres = stack.postgres().await;
        let space = format!("create tablespace small location '{}'", small.mounted.display());
        if let Err(error) = postgres.batch_execute(&space).await {
            eprintln!("skipped: the server cannot use this machine's file systems: {error}");
            return None;
        }
        for what in ["table", "index"] {
            let moved = format!("alter {what} all in tablespace pg_default set tablespace small");
            postgres.batch_execute(&moved).await.unwrap();
        }
        Some(small)
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

impl Drop for Small {
    fn drop(&mut self) {
        // The server may still hold files in it: it goes with the last of them.
        Command::new("umount").arg("--lazy").arg(&self.mounted).status().ok();
    }
}

impl Disk for Small {
    async fn fill(&self, _: &Stack) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        let page = [0; 4096];
        while filler.write_all(&page).is_ok() {}
    }

    async fn free(&self, _: &Stack) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

const JOBS: usize = 8;

async fn no_job_suffers_from(disk: &impl Disk, stack: &Stack) {
    for n in 0..JOBS {
        stack.publish(&job(&format!("disk-{n}"), "tools delay_ms=20")).await;
    }
    stack.until_asked(4).await;
    disk.fill(stack).await;
    // Whatever the model answers cannot be kept now.
    until_counted(stack, "agent_executor_store_call_failures_total{call=\"commit\"}", 1.0).await;
    stack.publish(&job("disk-late", "hello")).await;
    until_counted(stack, "agent_executor_fetch_paused{reason=\"store_disk_full\"}", 1.0).await;
    lives(stack).await;
    // The database answers: it is no backend that is away. That it takes nothing, the gauge says.
    until_ready_says(stack, 200, [true, true, true]).await;
    let postgres = stack.postgres().await;
    let failed = "select count(*) from agent_jobs where status in ('failed', 'cancelled')";
    let count: i64 = postgres.query_one(failed, &[]).await.unwrap().get(0);
    assert_eq!(count, 0, "no job fails for want of room");

    disk.free(stack).await;
    for n in 0..JOBS {
        assert_eq!(stack.end_of(&format!("disk-{n}")).await, "completed");
    }
    assert_eq!(stack.end_of("disk-late").await, "completed");
    results(stack, JOBS as u64 + 1).await;
    let resumed = async || {
        (stack.metric("agent_executor_fetch_paused{reason=\"store_disk_full\"}").await? == 0.0).then_some(())
    };
    until("jobs are fetched again", PATIENCE, resumed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_delays_jobs_and_fails_none() {
    let Some(stack) = Plan::default().own_postgres().start().await else { return };
    let Some(disk) = Small::mount(&stack).await else { return };
    no_job_suffers_from(&disk, &stack).await;
}

/// The server's answer for a full disk, to every write: also where nothing can be mounted, and harsher, since on a real one
/// updates often still find room on their page.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_every_write_delays_jobs_and_fails_none() {
    let Some(stack) = Plan::default().own_postgres().quick().start().await else { return };
    no_job_suffers_from(&Refusing, &stack).await;

    // What came over HTTP while there was no room was refused, not forgotten; and the upkeep says that it could do nothing.
    Refusing.fill(&stack).await;
    let answered = http(stack.port, "POST", "/invoke", &job("disk-http", "hello").to_string()).await.unwrap();
    assert!(answered.0 >= 500, "{answered:?}");
    until_counted(&stack, "agent_executor_sweep_failures_total{what=\"election\"}", 1.0).await;
    Refusing.free(&stack).await;
    assert_eq!(stack.store_job("disk-http").await, None, "what was refused is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_cache_holds_up_nobody() {
    let Some(stack) = Plan::default().own_cache().start().await else { return };
    stack.publish(&slow("ice-1", 1)).await;
    stack.until_asked(1).await;
    stack.servers.redis.freeze().await.unwrap();
    assert_eq!(stack.end_of("ice-1").await, "completed");
    stack.publish(&job("ice-2", "tools")).await;
    assert_eq!(stack.end_of("ice-2").await, "completed", "nor does one that begins meanwhile need it");
    lives(&stack).await;
    until_ready_says(&stack, 503, [false, true, true]).await;
    stack.servers.redis.thaw().await.unwrap();
    until_ready_says(&stack, 200, [true, true, true]).await;
    results(&stack, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_delays_results_and_repeats_none() {
    let Some(stack) = crate::common::stack().await else { return };
    for n in 0..3 {
        stack.publish(&slow(&format!("frost-{n}"), 1)).await;
    }
    stack.until_asked(3).await;
    stack.nats.freeze().await.unwrap();
    for n in 0..3 {
        assert_eq!(stack.end_of(&format!("frost-{n}")).await, "completed", "NATS is only the doorbell");
    }
    lives(&stack).await;
    until_ready_says(&stack, 503, [true, true, false]).await;
    let (status, body) =
        http(stack.port, "POST", "/invoke", &job("frost-3", "hello").to_string()).await.unwrap();
    assert_eq!(status, 200, "the other door is open: {body}");
    assert_eq!(stack.end_of("frost-3").await, "completed");
    stack.nats.thaw().await.unwrap();
    until_ready_says(&stack, 200, [true, true, true]).await;
    results(&stack, 4).await;
    assert_eq!(stack.model.requests(), 4, "nothing ran again");
}

/// Three days back, whatever has a time.
const AGED: &str = "
update agent_jobs set created_at = created_at - interval '3 days', ended_at = ended_at - interval '3 days';
update agent_leases set lease_until = lease_until - interval '3 days' where thread_id not like '~%';
update agent_events set created_at = created_at - interval '3 days';
update agent_outbox set created_at = created_at - interval '3 days', sent_at = sent_at - interval '3 days';
update agent_dead_letters set created_at = created_at - interval '3 days';";

/// More than one batch of each.
const MORE_OLD_ROWS: &str = "
insert into agent_dead_letters (source, seq, code, reason, subject, head, hash)
    select 'old', n, 'input.not_json', 'old', 'agent.execute.old', '', '' from generate_series(1, 450) n;
insert into agent_outbox (thread_id, id, subject, body, sent_at)
    select 'old', n::text, 'agent.status.completed', '', now() from generate_series(1, 450) n;";

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_go_in_batches_and_a_running_jobs_rows_stay() {
    let retention = ["THREADS", "EVENTS", "OUTBOX", "DEAD_LETTERS"];
    let plan = retention
        .iter()
        .fold(Plan::default().quick(), |plan, what| plan.env(&format!("RETENTION_{what}_DAYS"), "1"));
    let Some(mut stack) = plan.start().await else { return };
    for n in 0..3 {
        stack.publish(&job(&format!("old-{n}"), "tools")).await;
        assert_eq!(stack.end_of(&format!("old-{n}")).await, "completed");
    }
    let context = stack.jetstream().await;
    context.publish("agent.execute.broken", "{".into()).await.unwrap().await.unwrap();
    stack.publish(&slow("runs", 60)).await;
    stack.until_asked(3 * 6 + 1).await;
    stack.settled_but(1).await;
    let postgres = stack.postgres().await;
    let sent = async || {
        let unsent = "select count(*) from agent_outbox where sent_at is null";
        (postgres.query_one(unsent, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    };
    until("every result has left", PATIENCE, sent).await.unwrap();
    stack.worker.signal("KILL");
    stack.worker.ended().await;
    let count = async |table: &str, of: &str| -> i64 {
        postgres.query_one(&format!("select count(*) from {table} where {of}"), &[]).await.unwrap().get(0)
    };
    let before = count("checkpoints", "thread_id = 'runs'").await;
    assert!(before > 0 && count("agent_dead_letters", "true").await == 1);
    postgres.batch_execute(MORE_OLD_ROWS).await.unwrap();
    postgres.batch_execute(AGED).await.unwrap();

    let second = stack.another(&[]);
    let gone = async || {
        let mut left = count("agent_dead_letters", "true").await;
        for table in WRITTEN {
            left += count(table, "thread_id like 'old%'").await;
        }
        (left == 0).then_some(())
    };
    until("everything old is gone", PATIENCE, gone).await.unwrap();
    assert_eq!(count("agent_jobs", "job_id = 'runs' and status = 'running'").await, 1);
    assert!(count("checkpoints", "thread_id = 'runs'").await >= before, "a running job keeps its thread");
    let purged = async || {
        let purged = crate::common::metric(second.port, "agent_executor_purged_rows_total").await?;
        (purged >= 450.0 + 450.0 + 1.0 + 3.0).then_some(())
    };
    until("they are counted", PATIENCE, purged).await.unwrap();

    until("it runs again", PATIENCE, async || (stack.model.requests() > 3 * 6 + 1).then_some(()))
        .await
        .unwrap();
    http(second.port, "POST", "/jobs/runs/cancel", "").await.unwrap();
    assert_eq!(stack.end_of("runs").await, "cancelled");
    assert!(count("checkpoints", "thread_id = 'runs'").await >= before);
}
