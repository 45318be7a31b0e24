//! The store in PostgreSQL does what every store must do. Each test has a database of its own.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests stand outside of the test functions"
)]

use agent_checkpoint_store::conformance::Expire;
use agent_checkpoint_store::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobSummary, JournalRow,
    Lease, OutboxMessage, PostgresConfig, PostgresStore, Pressure, Retention, Snapshot, Store, StoreError,
    Terminal,
};
use agent_testkit::Postgres;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

async fn fresh_database() -> Option<String> {
    static SERVER: OnceCell<Option<Postgres>> = OnceCell::const_new();
    let server = SERVER.get_or_init(async || match Postgres::from_env_or_start().await {
        Ok(server) => Some(server),
        Err(error) if std::env::var_os("AGENT_EXECUTOR_REQUIRE_SERVERS").is_some() => panic!("{error:#}"),
        Err(error) => {
            eprintln!("skipped: no PostgreSQL for this test: {error:#}");
            None
        }
    });
    let dsn = server.await.as_ref()?.fresh_database().await.unwrap();
    agent_migrations::migrate(&mut connect(&dsn).await, &agent_migrations::Options::default()).await.unwrap();
    Some(dsn)
}

async fn connect(dsn: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A store and a second way into its database.
struct Tested {
    store: PostgresStore,
    beside: Client,
}

async fn fresh() -> Option<Tested> {
    let dsn = fresh_database().await?;
    let store = PostgresStore::connect(PostgresConfig::from_dsn(&dsn).unwrap()).await.unwrap();
    Some(Tested { store, beside: connect(&dsn).await })
}

#[async_trait]
impl Expire for Tested {
    async fn expire(&self, thread_id: &str) {
        let update = "update agent_leases set lease_until = now() - interval '1 ms' where thread_id = $1";
        assert_eq!(self.beside.execute(update, &[&thread_id]).await.unwrap(), 1);
    }
}

#[async_trait]
impl Store for Tested {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        self.store.begin(request).await
    }
    async fn acquire(&self, id: &str, owner: &Arc<str>) -> Result<Option<(Lease, JobRecord)>, StoreError> {
        self.store.acquire(id, owner).await
    }
    async fn load(&self, thread_id: &str) -> Result<Snapshot, StoreError> {
        self.store.load(thread_id).await
    }
    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
        self.store.commit(lease, commit).await
    }
    async fn finish(&self, lease: &Lease, commit: Commit, end: Terminal) -> Result<Finished, StoreError> {
        self.store.finish(lease, commit, end).await
    }
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
        self.store.renew(leases).await
    }
    async fn release(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError> {
        self.store.release(lease, last_seq).await
    }
    async fn job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.store.job(job_id).await
    }
    async fn jobs_of(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
        self.store.jobs_of(thread_id).await
    }
    async fn recent_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        self.store.recent_jobs(limit).await
    }
    async fn request_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.store.request_cancel(job_id).await
    }
    async fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError> {
        self.store.cancel_requests(job_ids).await
    }
    async fn outbox_due(&self, min_age: Duration, limit: usize) -> Result<Vec<OutboxMessage>, StoreError> {
        self.store.outbox_due(min_age, limit).await
    }
    async fn outbox_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError> {
        self.store.outbox_sent(sent).await
    }
    async fn orphans(
        &self,
        idle: Duration,
        handed_back: Duration,
        limit: usize,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        self.store.orphans(idle, handed_back, limit).await
    }
    async fn overdue(&self, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
        self.store.overdue(limit).await
    }
    async fn end_queued(&self, terminal: Terminal) -> Result<bool, StoreError> {
        self.store.end_queued(terminal).await
    }
    async fn elect(&self, role: &str, owner: &Arc<str>, ttl: Duration) -> Result<bool, StoreError> {
        self.store.elect(role, owner, ttl).await
    }
    async fn now_ms(&self) -> Result<i64, StoreError> {
        self.store.now_ms().await
    }
    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), StoreError> {
        self.store.dead_letter(letter).await
    }
    async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError> {
        self.store.dead_letters(before, limit).await
    }
    async fn events(&self, thread_id: &str, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.store.events(thread_id, after, limit).await
    }
    async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError> {
        self.store.delete_thread(thread_id).await
    }
    async fn purge(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError> {
        self.store.purge(retention, batch).await
    }
    async fn health(&self) -> Result<(), StoreError> {
        self.store.health().await
    }
}

agent_checkpoint_store::store_conformance!(fresh());

#[tokio::test]
async fn a_store_whose_server_is_away_can_be_made_and_says_so() {
    let mut config = PostgresConfig::from_dsn("postgres://nobody@127.0.0.1:9/none").unwrap();
    config.pool_wait = Duration::from_millis(50);
    let store = PostgresStore::new(config).unwrap();
    assert_eq!(store.pressure(), None, "nobody has asked yet");
    let error = store.health().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(store.pressure(), Some(Pressure::Away));
}

#[tokio::test]
async fn a_call_that_waits_long_for_a_connection_is_noticed() {
    let Some(dsn) = fresh_database().await else { return };
    let mut config = PostgresConfig::from_dsn(&dsn).unwrap();
    config.pool_size = 1;
    let store = Arc::new(PostgresStore::connect(config).await.unwrap());
    // The one connection waits for a lock that another session has.
    let mut beside = connect(&dsn).await;
    let held = beside.transaction().await.unwrap();
    held.execute("lock table agent_jobs in access exclusive mode", &[]).await.unwrap();
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.job("any").await }
    });
    let second = tokio::spawn({
        let store = store.clone();
        async move { store.job("any").await }
    });
    tokio::time::sleep(Duration::from_millis(1300)).await;
    held.rollback().await.unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(store.pressure(), Some(Pressure::PoolWait));
}
