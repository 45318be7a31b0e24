//! `worker doctor` and `worker provision-nats` as processes: a healthy stack, and each way in which it can be broken.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::collections::BTreeMap;
use std::process::Command;

use crate::common::connect;
use agent_testkit::{FakeModel, Nats, Servers, free_port};
use async_nats::jetstream::{self, consumer, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Servers, provisioned and migrated, and the variables of a worker on them.
struct Patient {
    servers: Servers,
    nats: Nats,
    /// Held, so that it answers.
    _model: FakeModel,
    dsn: String,
    environment: BTreeMap<String, String>,
}

/// What a command said, and its exit code.
struct Told {
    text: String,
    code: Option<i32>,
}

impl Told {
    /// Whether a line begins with the verdict and holds all of these; the advice comes on the line after it.
    fn says(&self, verdict: &str, parts: &[&str]) -> bool {
        self.text
            .lines()
            .any(|line| line.starts_with(verdict) && parts.iter().all(|part| line.contains(part)))
    }

    fn advises(&self, part: &str) -> bool {
        self.text.lines().any(|line| line.contains("→") && line.contains(part))
    }
}

impl Patient {
    async fn new() -> Option<Self> {
        let servers = Servers::or_skip().await?;
        let dsn = servers.postgres.fresh_database().await.unwrap();
        let nats = Nats::start_own().await.unwrap();
        let model = FakeModel::start().await.unwrap();
        let pairs = [
            ("DATABASE_URL", dsn.clone()),
            ("REDIS_URL", servers.redis.url().to_owned()),
            ("NATS_URL", nats.url().to_owned()),
            ("OPENAI_API_KEY", "sk-canary-of-this-test".to_owned()),
            ("OPENAI_BASE_URL", model.base_url()),
            ("API_TOKENS", "ops=canary-token-of-this-test".to_owned()),
            ("TOOL_SCRIPTS", "off".to_owned()),
        ];
        let environment = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Some(Self { servers, nats, _model: model, dsn, environment })
    }

    /// A patient with nothing wrong.
    async fn healthy() -> Option<Self> {
        let patient = Self::new().await?;
        patient.migrate().await;
        let provisioned = patient.run("provision-nats");
        assert_eq!(provisioned.code, Some(0), "{}", provisioned.text);
        Some(patient)
    }

    /// The workers' consumer, made anew with these settings.
    async fn remake_consumer(&self, settings: consumer::pull::Config) {
        let name = "agent-executor-workers";
        let stream = self.jetstream().await.get_stream("AGENT_EXECUTION").await.unwrap();
        stream.delete_consumer(name).await.unwrap();
        let config = consumer::pull::Config { durable_name: Some(name.to_owned()), ..settings };
        stream.create_consumer(config).await.unwrap();
    }

    async fn migrate(&self) {
        let mut client = connect(&self.dsn).await;
        agent_migrations::migrate(&mut client, &agent_migrations::Options::default()).await.unwrap();
    }

    async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.nats.client().await.unwrap())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    fn run(&self, command: &str) -> Told {
        let output = Command::new(env!("CARGO_BIN_EXE_worker"))
            .arg(command)
            .env_clear()
            .envs(&self.environment)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(!text.contains("canary"), "a secret in {text}");
        Told { text, code: output.status.code() }
    }

    /// Exactly one thing is bad, and it is this one.
    fn sick(&self, parts: &[&str], advice: &str) {
        let told = self.run("doctor");
        println!("{}", told.text);
        assert_eq!(told.code, Some(1), "{}", told.text);
        assert!(told.says("BAD", parts), "{parts:?} in {}", told.text);
        assert!(told.advises(advice), "{advice} in {}", told.text);
        let bad = told.text.lines().filter(|line| line.starts_with("BAD")).count();
        assert_eq!(bad, 1, "only what is broken is bad: {}", told.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_stack_is_all_good() {
    let Some(patient) = Patient::healthy().await else { return };
    let told = patient.run("doctor");
    println!("{}", told.text);
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert!(told.text.contains("0 to look at, 0 bad"), "{}", told.text);
    for check in
        ["settings", "postgres schema", "postgres rights", "nats stream", "nats consumer", "cache", "model"]
    {
        assert!(told.says("ok", &[check]), "{check} in {}", told.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_all_told_and_the_exit_code_says_so() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.set("WORKER_CONCURRENCY", "many");
    patient.set("PORT", "99999");
    let told = patient.run("doctor");
    assert_eq!(told.code, Some(2), "{}", told.text);
    assert!(told.says("BAD", &["settings", "WORKER_CONCURRENCY"]) && told.says("BAD", &["settings", "PORT"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let nobody = format!("postgresql://u:p@127.0.0.1:{}/x", free_port().unwrap());
    patient.set("DATABASE_URL", &nobody);
    patient.sick(&["postgres", "refused"], "POSTGRES_SSLMODE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_log_in() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let (_, place) = patient.dsn.rsplit_once('@').unwrap();
    patient.set("DATABASE_URL", &format!("postgresql://nobody_here:wrong@{place}"));
    patient.sick(&["postgres"], "password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_was_never_migrated() {
    let Some(patient) = Patient::new().await else { return };
    assert_eq!(patient.run("provision-nats").code, Some(0));
    patient.sick(&["postgres schema", "version 0"], "migrate-init");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let client = connect(&patient.dsn).await;
    let role = format!("reader_{}", free_port().unwrap());
    let statements = format!(
        "create role {role} login password 'reader';
         grant select, insert, update on all tables in schema public to {role};
         grant delete on checkpoints, checkpoint_blobs, checkpoint_writes, agent_jobs, agent_leases, agent_steps,
             agent_outbox, agent_dead_letters to {role};"
    );
    client.batch_execute(&statements).await.unwrap();
    let (_, place) = patient.dsn.rsplit_once('@').unwrap();
    patient.set("DATABASE_URL", &format!("postgresql://{role}:reader@{place}"));
    patient.sick(&["postgres rights", "DELETE on agent_events"], "grant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_away() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.set("NATS_URL", &format!("nats://127.0.0.1:{}", free_port().unwrap()));
    patient.sick(&["nats", "not reached"], "credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_of_jobs_takes_its_consumer_with_it() {
    let Some(patient) = Patient::healthy().await else { return };
    patient.jetstream().await.delete_stream("AGENT_EXECUTION").await.unwrap();
    let told = patient.run("doctor");
    assert_eq!(told.code, Some(1));
    assert!(told.says("BAD", &["stream AGENT_EXECUTION", "not found"]), "{}", told.text);
    assert!(told.says("BAD", &["consumer agent-executor-workers"]), "{}", told.text);
    assert!(told.advises("worker provision-nats"));
    // What it advises mends it.
    assert_eq!(patient.run("provision-nats").code, Some(0));
    assert_eq!(patient.run("doctor").code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_of_results() {
    let Some(patient) = Patient::healthy().await else { return };
    patient.jetstream().await.delete_stream("AGENT_STATUS").await.unwrap();
    patient.sick(&["stream AGENT_STATUS", "not found"], "worker provision-nats");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_acknowledges_by_itself() {
    let Some(patient) = Patient::healthy().await else { return };
    let config = consumer::pull::Config { ack_policy: consumer::AckPolicy::None, ..Default::default() };
    patient.remake_consumer(config).await;
    patient.sick(&["consumer", "ack_policy"], "worker provision-nats");
    // That cannot be changed in place, and provisioning says so instead of going on.
    let told = patient.run("provision-nats");
    assert_eq!(told.code, Some(1), "{}", told.text);
    assert!(told.text.contains("nats.cannot_change") && told.text.contains("ack_policy"), "{}", told.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_as_the_seeds_job_makes_it_is_brought_to_what_workers_need() {
    let Some(patient) = Patient::healthy().await else { return };
    let config = consumer::pull::Config {
        ack_policy: consumer::AckPolicy::Explicit,
        max_deliver: 3,
        max_ack_pending: 10,
        ..Default::default()
    };
    patient.remake_consumer(config).await;
    let seed = stream::Config {
        name: "AGENT_STATUS".to_owned(),
        subjects: vec!["agent.status.*".to_owned()],
        ..Default::default()
    };
    patient.jetstream().await.update_stream(seed).await.unwrap();

    let told = patient.run("doctor");
    assert_eq!(told.code, Some(0), "it works, only not as meant: {}", told.text);
    assert!(told.says("look", &["consumer", "max_deliver is 3", "max_ack_pending is 10"]), "{}", told.text);
    assert!(told.says("look", &["AGENT_STATUS", "max_age"]), "{}", told.text);

    let told = patient.run("provision-nats");
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert!(told.text.contains("stream AGENT_EXECUTION: as wanted"), "{}", told.text);
    assert!(told.text.contains("stream AGENT_STATUS: changed"), "{}", told.text);
    assert!(
        told.text.contains("consumer agent-executor-workers of AGENT_EXECUTION: changed"),
        "{}",
        told.text
    );
    let again = patient.run("provision-nats");
    assert_eq!(again.text.matches("as wanted").count(), 3, "{}", again.text);
    assert!(patient.run("doctor").text.contains("0 to look at, 0 bad"));
    assert!(told.text.contains("1000"), "never less than the server's own default: {}", told.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_memory_is_not_replaced_silently() {
    let Some(patient) = Patient::new().await else { return };
    let config = stream::Config {
        name: "AGENT_EXECUTION".to_owned(),
        subjects: vec!["agent.execute.*".to_owned()],
        storage: stream::StorageType::Memory,
        ..Default::default()
    };
    patient.jetstream().await.create_stream(config).await.unwrap();
    let told = patient.run("provision-nats");
    assert_eq!(told.code, Some(1), "{}", told.text);
    assert!(told.text.contains("storage is Memory, needed is File"), "{}", told.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream() {
    let Some(mut patient) = Patient::healthy().await else { return };
    // An account of its own, for which JetStream is not enabled.
    let folder = tempfile();
    let file = folder.join("nats.conf");
    let text = "jetstream: enabled\naccounts { A { users: [{user: a, password: b}] } }\n";
    std::fs::write(&file, text).unwrap();
    let nats = Nats::start_with(&["-c", file.to_str().unwrap()]).await;
    let Ok(nats) = nats else { panic!("the server did not start: {:?}", nats.err()) };
    patient.set("NATS_URL", nats.url());
    patient.set("NATS_USER", "a");
    patient.set("NATS_PASSWORD", "b");
    patient.sick(&["nats", "JetStream"], "-js");
    let told = patient.run("provision-nats");
    assert_eq!(told.code, Some(1));
    assert!(told.text.contains("nats.no_jetstream"), "{}", told.text);
    std::fs::remove_dir_all(folder).ok();
}

fn tempfile() -> std::path::PathBuf {
    let folder =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nats-{}", free_port().unwrap()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_away() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.set("REDIS_URL", &format!("redis://127.0.0.1:{}", free_port().unwrap()));
    patient.sick(&["cache", "PING"], "DRAGONFLY_HOST");
}

/// A provider that answers 401 to everything; its address.
async fn refuses_every_key() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 2048];
            let read = stream.read(&mut head).await.unwrap_or(0);
            assert!(read > 0);
            stream.write_all(b"HTTP/1.1 401 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.ok();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_provider_refuses() {
    let Some(mut patient) = Patient::healthy().await else { return };
    let base = format!("http://{}/v1", refuses_every_key().await);
    patient.set("OPENAI_BASE_URL", &base);
    patient.sick(&["model", "openai", "the key is refused (401)"], "rotate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_and_none_at_all() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.set("OPENAI_BASE_URL", &format!("http://127.0.0.1:{}/v1", free_port().unwrap()));
    patient.sick(&["model", "openai"], "egress");
    patient.environment.remove("OPENAI_BASE_URL");
    patient.environment.remove("OPENAI_API_KEY");
    patient.sick(&["model", "no provider"], "OPENAI_API_KEY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_definition_that_cannot_be_read() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.set("DEFAULT_AGENT_DEFINITION_FILE", "nowhere/agent.json");
    patient.sick(&["default definition", "nowhere/agent.json"], "mount");
    assert!(patient.servers.redis.url().starts_with("redis://"));
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_without_an_interpreter_are_worth_a_look() {
    let Some(mut patient) = Patient::healthy().await else { return };
    patient.set("TOOL_SCRIPTS", "sandbox");
    patient.set("TOOL_SCRIPTS_PYTHON", "/nowhere/python3");
    let told = patient.run("doctor");
    assert_eq!(told.code, Some(0), "jobs without scripts run: {}", told.text);
    assert!(told.says("look", &["tool scripts"]) && told.advises("TOOL_SCRIPTS=off"), "{}", told.text);
}
