//! What the tests of the worker share: the worker as a process on real servers of its own, and small helpers.
//!
//! The other test binary, `chaos`, takes it by its path.

#![allow(dead_code, unreachable_pub, reason = "each of the two test binaries uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent_testkit::{FakeModel, Nats, Postgres, Redis, Servers, free_port, until};
use async_nats::jetstream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::{Client, NoTls};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A `worker serve` process. Killed with the value.
pub struct Worker {
    /// The process.
    pub child: Child,
    /// Its HTTP port.
    pub port: u16,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Worker {
    /// Starts a worker with exactly these variables and a port of its own.
    pub fn spawn<'a>(environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let port = free_port().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_worker"))
            .arg("serve")
            .env_clear()
            .envs([("HTTP_HOST", "127.0.0.1"), ("PORT", &port.to_string())])
            .envs(environment)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    /// Waits until `/ready` says yes.
    pub async fn ready(&self) {
        until("the worker is ready", PATIENCE, async || match http(self.port, "GET", "/ready", "").await {
            Some((200, _)) => Some(()),
            _ => None,
        })
        .await
        .unwrap();
    }

    /// Sends it a signal: `TERM`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its end; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        until("the worker ends", PATIENCE, async || self.child.try_wait().unwrap()).await.unwrap().code()
    }
}

/// What a [`Stack`] is made of.
#[derive(Default)]
pub struct Plan {
    environment: Vec<(String, String)>,
    streams: Option<Vec<(&'static str, &'static str)>>,
    nats_arguments: Vec<String>,
    own_postgres: bool,
    own_cache: bool,
    consumer: Option<jetstream::consumer::pull::Config>,
    unready: bool,
}

/// Both streams, as the deployment makes them.
pub const STREAMS: [(&str, &str); 2] =
    [("AGENT_EXECUTION", "agent.execute.*"), ("AGENT_STATUS", "agent.status.*")];

impl Plan {
    /// One more variable for the worker; wins over the stack's own.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Only these streams, as pairs of name and subject. Default: [`STREAMS`].
    pub fn streams(mut self, streams: &[(&'static str, &'static str)]) -> Self {
        self.streams = Some(streams.to_vec());
        self
    }

    /// More arguments for the NATS server.
    pub fn nats_arguments(mut self, arguments: impl IntoIterator<Item = String>) -> Self {
        self.nats_arguments = arguments.into_iter().collect();
        self
    }

    /// A PostgreSQL that this test may break.
    pub const fn own_postgres(mut self) -> Self {
        self.own_postgres = true;
        self
    }

    /// A cache that this test may break.
    pub const fn own_cache(mut self) -> Self {
        self.own_cache = true;
        self
    }

    /// Leases of two seconds and messages that come back after three, so that a takeover takes seconds.
    pub fn quick(self) -> Self {
        self.env("LEASE_SECONDS", "2").env("NATS_ACK_WAIT_SECONDS", "3")
    }

    /// A consumer of the job stream that is there before the worker.
    pub fn consumer(mut self, config: jetstream::consumer::pull::Config) -> Self {
        self.consumer = Some(config);
        self
    }

    /// Does not wait until the worker is ready.
    pub const fn unready(mut self) -> Self {
        self.unready = true;
        self
    }

    /// Starts everything; `None` where no servers can be had, with the reason on stderr.
    pub async fn start(self) -> Option<Stack> {
        Box::pin(self.start_all()).await
    }

    async fn start_all(self) -> Option<Stack> {
        let mut servers = Servers::or_skip().await?;
        if self.own_postgres {
            servers.postgres = Postgres::start_own().await.unwrap();
        }
        if self.own_cache {
            servers.redis = Redis::start_own().await.unwrap();
        }
        let dsn = servers.postgres.fresh_database().await.unwrap();
        let mut client = connect(&dsn).await;
        agent_migrations::migrate(&mut client, &agent_migrations::Options::default()).await.unwrap();
        let arguments: Vec<&str> = self.nats_arguments.iter().map(String::as_str).collect();
        let nats = Nats::start_with(&arguments).await.unwrap();
        let context = jetstream::new(nats.client().await.unwrap());
        for (name, subject) in self.streams.unwrap_or_else(|| STREAMS.to_vec()) {
            make_stream(&context, name, subject).await;
        }
        if let Some(consumer) = self.consumer {
            let stream = context.get_stream("AGENT_EXECUTION").await.unwrap();
            stream.create_consumer(consumer).await.unwrap();
        }
        let model = FakeModel::start().await.unwrap();
        let mut environment = vec![
            ("DATABASE_URL".to_owned(), dsn.clone()),
            ("REDIS_URL".to_owned(), servers.redis.url().to_owned()),
            ("NATS_URL".to_owned(), nats.url().to_owned()),
            ("OPENAI_API_KEY".to_owned(), "sk-canary-of-this-test".to_owned()),
            ("OPENAI_BASE_URL".to_owned(), model.base_url()),
        ];
        environment.extend(self.environment);
        let worker = Worker::spawn(pairs(&environment));
        let port = worker.port;
        let stack = Stack { worker, port, nats, servers, dsn, model, environment };
        if !self.unready {
            stack.worker.ready().await;
        }
        Some(stack)
    }
}

fn pairs(environment: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// A worker on servers of its own, with both streams made. Ends with the value.
pub struct Stack {
    /// The worker.
    pub worker: Worker,
    /// The worker's HTTP port.
    pub port: u16,
    /// NATS of this test alone.
    pub nats: Nats,
    /// PostgreSQL and the cache; the NATS in here is not the worker's.
    pub servers: Servers,
    /// The worker's database.
    pub dsn: String,
    /// The provider that the worker asks.
    pub model: FakeModel,
    /// The worker's variables.
    pub environment: Vec<(String, String)>,
}

/// A stack as [`Plan::default`] makes it.
pub async fn stack() -> Option<Stack> {
    Plan::default().start().await
}

impl Stack {
    /// One more worker on the same servers, with these variables besides.
    pub fn another(&self, more: &[(&str, &str)]) -> Worker {
        Worker::spawn(pairs(&self.environment).chain(more.iter().copied()))
    }

    /// Runs another command of the worker with the worker's variables: exit code, stdout, stderr.
    pub fn command(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_worker"))
            .args(arguments)
            .env_clear()
            .envs(pairs(&self.environment))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// A connection to the worker's database.
    pub async fn postgres(&self) -> Client {
        connect(&self.dsn).await
    }

    /// The worker's store, beside the worker.
    pub async fn store(&self) -> agent_checkpoint_store::PostgresStore {
        let config = agent_checkpoint_store::PostgresConfig::from_dsn(&self.dsn).unwrap();
        agent_checkpoint_store::PostgresStore::connect(config).await.unwrap()
    }

    /// A JetStream context on the worker's server.
    pub async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.nats.client().await.unwrap())
    }

    /// Publishes a job and waits until the stream has it.
    pub async fn publish(&self, job: &Value) {
        let subject = format!("agent.execute.{}", job["job_id"].as_str().unwrap());
        let context = self.jetstream().await;
        context.publish(subject, job.to_string().into()).await.unwrap().await.unwrap();
    }

    /// Waits until the model has been asked so often.
    pub async fn until_asked(&self, times: u64) {
        let asked = async || (self.model.requests() >= times).then_some(());
        until("the model is asked", PATIENCE, asked).await.unwrap();
    }

    /// Waits until the job has ended; its row's status.
    pub async fn end_of(&self, job_id: &str) -> String {
        let client = self.postgres().await;
        until("the job has ended", PATIENCE, async || {
            let row = client
                .query_opt("select status from agent_jobs where job_id = $1", &[&job_id])
                .await
                .ok()??;
            let status: String = row.get(0);
            (status != "queued" && status != "running").then_some(status)
        })
        .await
        .unwrap()
    }

    /// The value of a metric, with its labels as they are written; `None` where it is absent.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        metric(self.port, name).await
    }

    /// The job's status in the table; `None`: it is not there.
    pub async fn store_job(&self, job_id: &str) -> Option<String> {
        let query = "select status from agent_jobs where job_id = $1";
        let row = self.postgres().await.query_opt(query, &[&job_id]).await.unwrap();
        row.map(|row| row.get(0))
    }

    /// Waits until no message is left to deliver or to acknowledge.
    pub async fn settled(&self) {
        self.settled_but(0).await;
    }

    /// Waits until only so many messages are in work.
    pub async fn settled_but(&self, in_work: usize) {
        let context = self.jetstream().await;
        until("every message is acknowledged", PATIENCE, async || {
            let stream = context.get_stream("AGENT_EXECUTION").await.ok()?;
            let info = stream.consumer_info("agent-executor-workers").await.ok()?;
            (info.num_pending == 0 && info.num_ack_pending == in_work).then_some(())
        })
        .await
        .unwrap();
    }
}

/// A metric of the worker at this port.
pub async fn metric(port: u16, name: &str) -> Option<f64> {
    let (_, text) = http(port, "GET", "/metrics", "").await?;
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Makes a stream with one subject.
pub async fn make_stream(context: &jetstream::Context, name: &str, subject: &str) {
    let config = jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
}

/// A connection to a database.
pub async fn connect(dsn: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// One request on a connection of its own; `None` while nobody listens.
pub async fn http(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// Puts the launcher beside the worker where only this package was built.
fn build_launcher() {
    let worker = Path::new(env!("CARGO_BIN_EXE_worker"));
    if !worker.with_file_name("tool-launcher").is_file() {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "-p", "tool-launcher"]).status();
        assert!(built.unwrap().success());
    }
}

/// The search path for a worker that runs tool scripts, with the launcher built; `None`, said, where there is no
/// Python. A kernel without the walls fails tests of scripts: that is what they are for.
pub fn scripts_path() -> Option<String> {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3");
        return None;
    }
    build_launcher();
    std::env::var("PATH").ok()
}

/// A job whose scripted model does what `marker` says (crates/testkit/src/script.rs).
pub fn job(job_id: &str, marker: &str) -> Value {
    json!({
        "job_id": job_id,
        "trace_id": "0af76519-16cd-43dd-8448-eb211c80319c",
        "agent_definition": { "nodes": [{ "type": "orchestrator", "config": {
            "name": "main", "system_prompt": format!("You work. [[fake:{marker}]]"),
            "model": { "provider": "openai", "model": "gpt-4o-mini" } } }] },
        "input_payload": { "messages": [{ "role": "user", "content": "Please do the work." }] },
    })
}
