//! `cargo xtask up`: the local stack, in the background.

use std::process::Command;
use std::time::Duration;

use agent_testkit::{Postgres, Probe, programs};
use anyhow::{Context, ensure};
use async_nats::jetstream;

use crate::flags::Up;
use crate::stack::{self, address};
use crate::{install, place};

impl Up {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let begun = stack::PARTS.iter().find(|part| stack::running(part).is_some());
        ensure!(begun.is_none(), "the stack is up already (`cargo xtask down` stops it)");
        let worker = stack::build_worker(self.release)?;
        servers(self.release)?;
        let ready = stack::start_worker(&worker, &[]);
        if ready.is_err() {
            crate::down::all()?;
        }
        let took = ready?;
        println!(
            "worker      http://127.0.0.1:{}  ready after {took:?}, log target/stack/worker.log",
            stack::WORKER
        );
        println!("Next: `cargo xtask demo`; `cargo xtask down` ends all of it.");
        Ok(())
    }
}

/// All but the worker: three servers, the model, migrations, streams. What was begun is undone on failure.
pub(crate) fn servers(release: bool) -> anyhow::Result<()> {
    let sh = place::shell()?;
    install::missing_programs(&sh)?;
    let ports = [stack::POSTGRES, stack::REDIS, stack::NATS, stack::NATS_MONITOR, stack::WORKER];
    for port in ports {
        ensure!(!Probe::listens(&address(port)), "port {port} is taken by somebody else");
    }
    let migrate = stack::build("migrate-init", release)?;
    let begun = begin(&migrate);
    if begun.is_err() {
        crate::down::all()?;
    }
    begun
}

fn begin(migrate: &std::path::Path) -> anyhow::Result<()> {
    let runtime = place::runtime()?;
    let pieces = [postgres as fn() -> anyhow::Result<Probe>, redis, nats];
    for piece in pieces {
        let probe = piece()?;
        runtime.block_on(agent_testkit::until("a server answers", Duration::from_secs(30), async || {
            probe.answers().await.then_some(())
        }))?;
    }
    println!("PostgreSQL  {}", dsn(stack::DATABASE));
    println!(
        "NATS        nats://127.0.0.1:{}  monitor http://127.0.0.1:{}",
        stack::NATS,
        stack::NATS_MONITOR
    );
    println!("Redis       redis://127.0.0.1:{}", stack::REDIS);
    model()?;
    runtime.block_on(database())?;
    runtime.block_on(streams())?;
    let status = Command::new(migrate).current_dir(place::root()).envs(stack::environment()).status()?;
    ensure!(status.success(), "migrate-init ended with {status}");
    Ok(())
}

fn dsn(database: &str) -> String {
    let (user, password, port) = (stack::USER, stack::PASSWORD, stack::POSTGRES);
    format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}")
}

fn postgres() -> anyhow::Result<Probe> {
    let programs = programs::postgres().context("PostgreSQL was found a moment ago")?;
    // As root the server runs as another user, who may not be able to enter the clone.
    let data = crate::down::data_folder();
    std::fs::create_dir_all(&data)?;
    agent_testkit::init_cluster(&data, stack::USER, stack::PASSWORD)?;
    let mut command = Command::new(programs.postgres);
    command.arg("-D").arg(data.join("data")).args(["-p", &stack::POSTGRES.to_string()]).current_dir("/");
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    agent_testkit::run_unprivileged(&mut command);
    stack::spawn("postgres", &mut command)?;
    Ok(Probe::Postgres(dsn("postgres")))
}

fn redis() -> anyhow::Result<Probe> {
    let program = programs::redis_server().context("a Redis server was found a moment ago")?;
    let dragonfly = program.ends_with("dragonfly");
    let mut command = Command::new(program);
    command.args(["--port", &stack::REDIS.to_string(), "--bind", "127.0.0.1"]).current_dir(stack_folder()?);
    if dragonfly {
        command.arg("--dbfilename=")
    } else {
        command.args(["--save", "", "--appendonly", "no"])
    };
    stack::spawn("redis", &mut command)?;
    Ok(Probe::Redis(address(stack::REDIS)))
}

fn nats() -> anyhow::Result<Probe> {
    let mut command = Command::new(programs::nats_server().context("nats-server was found a moment ago")?);
    command.args([
        "-a",
        "127.0.0.1",
        "-p",
        &stack::NATS.to_string(),
        "-m",
        &stack::NATS_MONITOR.to_string(),
        "-js",
    ]);
    command.arg("-sd").arg(stack_folder()?.join("nats"));
    stack::spawn("nats", &mut command)?;
    Ok(Probe::Nats(address(stack::NATS)))
}

fn stack_folder() -> anyhow::Result<std::path::PathBuf> {
    std::fs::create_dir_all(stack::folder())?;
    Ok(stack::folder())
}

fn model() -> anyhow::Result<()> {
    if stack::real_model() {
        println!("model       as the environment says");
        return Ok(());
    }
    let script =
        place::shared().map(|shared| shared.join("bench/fake_llm.py")).filter(|script| script.is_file());
    let port = stack::MODEL.to_string();
    let mut command = if let Some(script) = script {
        let mut command = Command::new("python3");
        command.arg(script).args(["--port", &port]);
        command
    } else {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["fake-model", "--port", &port]);
        command
    };
    stack::spawn("model", &mut command)?;
    place::wait("the scripted model listens", Duration::from_secs(10), || {
        Probe::listens(&address(stack::MODEL))
    })?;
    println!("model       scripted, http://127.0.0.1:{}/v1 (no key is set)", stack::MODEL);
    Ok(())
}

async fn database() -> anyhow::Result<()> {
    Postgres::create_database(&dsn("postgres"), stack::DATABASE).await
}

/// Both streams and the durable consumer, with the limits of the platform's own job (wire contract, section 2).
async fn streams() -> anyhow::Result<()> {
    let client = async_nats::connect(address(stack::NATS)).await?;
    let context = jetstream::new(client);
    let config = |name: &str, subject: &str| jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        max_age: Duration::from_secs(24 * 3600),
        ..Default::default()
    };
    context.create_stream(config("AGENT_STATUS", "agent.status.*")).await?;
    let jobs = context.create_stream(config("AGENT_EXECUTION", "agent.execute.*")).await?;
    let consumer = jetstream::consumer::pull::Config {
        durable_name: Some("agent-executor-workers".to_owned()),
        filter_subject: "agent.execute.*".to_owned(),
        ack_wait: Duration::from_secs(30),
        ..Default::default()
    };
    jobs.create_consumer(consumer).await?;
    Ok(())
}
