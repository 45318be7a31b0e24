//! The runner against a real server.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests stand outside of the test functions"
)]

use agent_migrations::{NEEDED_VERSION, Options, Report, current_version, migrate};
use agent_testkit::Postgres;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

async fn fresh() -> Option<String> {
    static SERVER: OnceCell<Option<Postgres>> = OnceCell::const_new();
    let server = SERVER.get_or_init(async || match Postgres::from_env_or_start().await {
        Ok(server) => Some(server),
        Err(error) if std::env::var_os("AGENT_EXECUTOR_REQUIRE_SERVERS").is_some() => panic!("{error:#}"),
        Err(error) => {
            eprintln!("skipped: no PostgreSQL for this test: {error:#}");
            None
        }
    });
    Some(server.await.as_ref()?.fresh_database().await.unwrap())
}

async fn connect(dsn: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn run(dsn: &str) -> Report {
    migrate(&mut connect(dsn).await, &Options::default()).await.unwrap()
}

async fn bookkeeping(dsn: &str) -> Vec<i32> {
    let rows = connect(dsn).await.query("select v from checkpoint_migrations order by v", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn tables(dsn: &str, like: &str) -> Vec<String> {
    let query = "select table_name::text from information_schema.tables
                 where table_schema = current_schema() and table_name like $1 order by 1";
    let rows = connect(dsn).await.query(query, &[&like]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn an_empty_database_gets_exactly_four_checkpoint_tables() {
    let Some(dsn) = fresh().await else { return };
    assert_eq!(current_version(&connect(&dsn).await).await.unwrap(), 0);

    let report = run(&dsn).await;

    assert_eq!((report.from, report.to, report.adopted), (0, NEEDED_VERSION, false));
    assert_eq!(report.applied, ["V1__langgraph_and_executor_tables", "V2__newest_jobs"]);
    let four = ["checkpoint_blobs", "checkpoint_migrations", "checkpoint_writes", "checkpoints"];
    assert_eq!(tables(&dsn, "checkpoint%").await, four);
    assert_eq!(bookkeeping(&dsn).await, (0..=9).collect::<Vec<_>>());
    let ours = tables(&dsn, "agent_%").await;
    assert_eq!(ours.len(), 7, "{ours:?}");
    let again = run(&dsn).await;
    assert_eq!((again.from, again.to, again.applied.len()), (NEEDED_VERSION, NEEDED_VERSION, 0));
}

#[tokio::test]
async fn of_four_at_once_one_applies_and_three_find_nothing() {
    let Some(dsn) = fresh().await else { return };

    let reports = tokio::join!(run(&dsn), run(&dsn), run(&dsn), run(&dsn));

    let mut applied = [&reports.0, &reports.1, &reports.2, &reports.3].map(|report| report.applied.len());
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, usize::try_from(NEEDED_VERSION).unwrap()]);
}

/// The reference's own migration file leaves row 9 alone; setup() leaves 0 to 9; an older setup() stopped before.
#[tokio::test]
async fn a_database_of_the_python_service_is_adopted() {
    for (before, after) in
        [("9", vec![9]), ("0,1,2,3,4,5,6,7,8,9", (0..=9).collect()), ("0,1,2,3", (0..=9).collect())]
    {
        let Some(dsn) = fresh().await else { return };
        let rows = before.split(',').map(|v| format!("({v})")).collect::<Vec<_>>().join(",");
        let task_path = if before.ends_with('9') { ", task_path text not null default ''" } else { "" };
        let python = format!(
            "create table checkpoint_migrations (v integer primary key);
             create table checkpoints (thread_id text not null, checkpoint_ns text not null default '',
                checkpoint_id text not null, parent_checkpoint_id text, type text, checkpoint jsonb not null,
                metadata jsonb not null default '{{}}', primary key (thread_id, checkpoint_ns, checkpoint_id));
             create table checkpoint_blobs (thread_id text not null, checkpoint_ns text not null default '',
                channel text not null, version text not null, type text not null, blob bytea,
                primary key (thread_id, checkpoint_ns, channel, version));
             create table checkpoint_writes (thread_id text not null, checkpoint_ns text not null default '',
                checkpoint_id text not null, task_id text not null, idx integer not null, channel text not null,
                type text, blob bytea not null {task_path},
                primary key (thread_id, checkpoint_ns, checkpoint_id, task_id, idx));
             insert into checkpoints values ('t', '', 'c', null, null, '{{\"v\": 4}}', '{{}}');
             insert into checkpoint_migrations values {rows}"
        );
        connect(&dsn).await.batch_execute(&python).await.unwrap();

        let report = run(&dsn).await;

        assert!(report.adopted, "{report:?}");
        assert_eq!(bookkeeping(&dsn).await, after);
        let client = connect(&dsn).await;
        client.execute("select task_path from checkpoint_writes", &[]).await.unwrap();
        let kept = client.query_one("select count(*) from checkpoints", &[]).await.unwrap();
        assert_eq!(kept.get::<_, i64>(0), 1);
    }
}

#[tokio::test]
async fn a_schema_of_ones_own_is_created_and_used() {
    let Some(dsn) = fresh().await else { return };
    let options = Options { schema: Some("agent \"executor\"".to_owned()), ..Options::default() };
    let mut client = connect(&dsn).await;

    let report = migrate(&mut client, &options).await.unwrap();

    assert!(report.schema_created);
    assert_eq!(report.schema, "agent \"executor\"");
    assert!(tables(&dsn, "agent_%").await.is_empty(), "nothing in public");
    assert_eq!(current_version(&client).await.unwrap(), NEEDED_VERSION);
    assert!(!migrate(&mut client, &options).await.unwrap().schema_created);
}

#[tokio::test]
async fn a_lock_that_another_migration_holds_is_waited_for_only_so_long() {
    let Some(dsn) = fresh().await else { return };
    let other = connect(&dsn).await;
    other.execute("select pg_advisory_lock(x'6167656e746d6967'::bigint)", &[]).await.unwrap();
    let options = Options { lock_timeout: std::time::Duration::from_millis(50), ..Options::default() };

    let error = migrate(&mut connect(&dsn).await, &options).await.unwrap_err();

    assert_eq!(error.to_string(), "another migration holds the lock, waited 0.05 s for it");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_migration_that_fails_says_why() {
    let Some(dsn) = fresh().await else { return };
    connect(&dsn).await.batch_execute("create view agent_jobs as select 1").await.unwrap();

    let error = migrate(&mut connect(&dsn).await, &Options::default()).await.unwrap_err();

    assert!(error.to_string().contains("agent_jobs"), "{error}");
    assert!(!error.is_transient());
    assert_eq!(tables(&dsn, "checkpoint%").await.len(), 0, "all of the file or nothing");
}
