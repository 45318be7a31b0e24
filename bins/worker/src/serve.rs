//! `worker serve`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::{PostgresStore, Store, StoreError};
use agent_config::{Dependency, HttpSettings, Purpose, Settings};
use agent_executor_runtime::{Backends, Executor, SystemClock};
use agent_stream_sink::StreamSink;
use agent_telemetry::Metrics;
use agent_telemetry::logs::Output;
use agent_tool_host::{ScriptsOff, ToolHost};
use agent_transport_http::{Check, Checks, Guard, HttpDoor, ServerSettings, metrics_router, router};
use agent_transport_nats::{Nats, NatsPublisher, OneJob};
use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::cli::ServeArgs;
use crate::{compose, start};

/// For the last acknowledgements after the drain.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the message of a pod for one job may stay away: another pod may have taken it first.
const ONE_JOB_PATIENCE: Duration = Duration::from_secs(30);
/// How often histograms are tidied.
const UPKEEP: Duration = Duration::from_secs(5);

pub(crate) fn main(args: &ServeArgs) -> ExitCode {
    let mut settings = match start::settings(Purpose::Serve) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Err(code) = start::logging(&settings, Output::Stdout, false) {
        return code;
    }
    info!(
        event = "agent_executor_service_starting",
        version = env!("CARGO_PKG_VERSION"),
        service = settings.logs.service_name
    );
    for (name, value, source) in settings.explain() {
        info!(event = "setting", name, value, %source);
    }
    for warning in &settings.warnings {
        warn!(event = "setting_warning", %warning);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(event = "startup_failed", %error);
            return ExitCode::FAILURE;
        }
    };
    if args.one_job {
        settings.worker.concurrency = 1;
    }
    let ended = runtime.block_on(serve(settings, args.one_job));
    // What still hangs in a blocking call shall not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(()) => {
            info!(event = "agent_executor_service_stopped");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            error!(event = "startup_failed", error = format!("{failure:#}"));
            let schema = failure.downcast_ref::<StoreError>();
            match schema {
                Some(StoreError::SchemaTooOld { .. }) => ExitCode::from(start::SCHEMA_TOO_OLD),
                Some(_) | None => ExitCode::FAILURE,
            }
        }
    }
}

async fn serve(settings: Settings, one_job: bool) -> anyhow::Result<()> {
    // First of all: as the first process of a container, one without handlers cannot be stopped.
    let signals = Signals::new()?;
    let metrics = agent_telemetry::install().context("metrics cannot be recorded")?;
    let traces = compose::traces(&settings)?;
    let store: Arc<dyn Store> = Arc::new(PostgresStore::new(compose::postgres(&settings)?)?);
    let sink: Arc<dyn StreamSink> = Arc::new(compose::sink(&settings)?);
    let nats = agent_transport_nats::connect(compose::nats(&settings)).await.context("NATS")?;
    let backends = Backends {
        store,
        sink,
        models: Arc::new(compose::models(&settings)?),
        tools: tools(&settings),
        publisher: Arc::new(NatsPublisher::new(nats.clone())),
        clock: Arc::new(SystemClock),
    };
    let executor = Executor::new(backends, compose::runtime(&settings)?);

    // Liveness depends on no backend, so it answers before any of them does.
    let stop_http = CancellationToken::new();
    let door = HttpDoor {
        guard: guard(&settings.http)?,
        closing: stop_http.clone(),
        ..door(&executor, &settings.http, &metrics, &nats)
    };
    let address: SocketAddr = format!("{}:{}", settings.http.host, settings.http.port)
        .parse()
        .with_context(|| format!("`HTTP_HOST`: `{}` is no address", settings.http.host))?;
    if let Some(port) = settings.http.metrics_port {
        let address = SocketAddr::new(address.ip(), port);
        let router = metrics_router(door.clone());
        let stop = stop_http.clone();
        tokio::spawn(async move {
            let serving =
                agent_transport_http::serve(address, router, ServerSettings::default(), stop, |_| ());
            if let Err(error) = serving.await {
                error!(event = "metrics_port_failed", %address, %error, runbook = "docs/operations.md#metrics-port-failed");
            }
        });
    }
    let server = compose::server(&settings.http);
    let http =
        tokio::spawn(agent_transport_http::serve(address, router(door), server, stop_http.clone(), |_| ()));
    let upkeep = tokio::spawn(tidy(metrics));
    let ended = work(&settings, &executor, &nats, http, signals, one_job).await;
    stop_http.cancel();
    upkeep.abort();
    if let Some(traces) = traces {
        // It blocks until the last spans are taken; whoever takes none shall not keep the process.
        let last = tokio::task::spawn_blocking(move || traces.shut_down());
        if tokio::time::timeout(LAST_WORDS, last).await.is_err() {
            warn!(event = "traces_cut");
        }
    }
    ended
}

/// Waits for the store, takes jobs until a signal comes or a part of the worker breaks, and hands back what runs then.
async fn work(
    settings: &Settings,
    executor: &Executor,
    nats: &Nats,
    mut http: JoinHandle<Result<(), agent_transport_http::ServeError>>,
    mut signals: Signals,
    one_job: bool,
) -> anyhow::Result<()> {
    tokio::select! {
        reached = reach_store(&**executor.store()) => reached?,
        signal = signals.next() => {
            info!(event = "agent_executor_service_shutting_down", signal);
            return Ok(());
        }
        ended = &mut http => return Err(ended_early("the HTTP interface", ended)),
    }
    executor.start();
    let mut consumer = tokio::spawn(take(nats.clone(), executor.clone(), one_job));
    let mut cancels = tokio::spawn(agent_transport_nats::answer_cancels(nats.clone(), executor.clone()));
    info!(event = "agent_executor_service_started", concurrency = settings.worker.concurrency);
    let failed = tokio::select! {
        signal = signals.next() => {
            info!(event = "agent_executor_service_shutting_down", signal);
            None
        }
        ended = &mut http => Some(ended_early("the HTTP interface", ended)),
        // Neither ends before the executor drains: a worker without them is of no use.
        ended = &mut consumer => match ended {
            Ok(()) if one_job => None,
            ended => Some(ended_early("the NATS consumer", ended.map(Ok::<_, anyhow::Error>))),
        },
        ended = &mut cancels => Some(ended_early("the cancel requests", ended.map(Ok::<_, anyhow::Error>))),
    };
    tokio::spawn(async move {
        signals.next().await;
        exit_at_once();
    });
    stop(settings, executor, nats, consumer).await;
    failed.map_or(Ok(()), Err)
}

/// Takes jobs from the queue until the executor drains; or one, and no more.
async fn take(nats: Nats, executor: Executor, one_job: bool) {
    if !one_job {
        return agent_transport_nats::consume(nats, executor).await;
    }
    match agent_transport_nats::consume_one(&nats, &executor, ONE_JOB_PATIENCE).await {
        OneJob::Handled => info!(event = "one_job_ended"),
        OneJob::NothingCame => info!(event = "one_job_nothing_came"),
        OneJob::Stopped => info!(event = "one_job_stopped"),
    }
}

/// Says at once where scripts cannot run; definitions with scripts are then refused one by one.
fn tools(settings: &Settings) -> Arc<dyn ToolHost> {
    let Some(host) = compose::scripts(settings).map(Arc::new) else { return Arc::new(ScriptsOff) };
    let probed = host.clone();
    tokio::spawn(async move {
        if let Err(error) = probed.probe().await {
            warn!(event = "tool_scripts_unavailable", code = error.code(), %error,
                runbook = "docs/operations.md#tools-no_sandbox");
            agent_telemetry::metric::TOOL_SCRIPTS_UNAVAILABLE.with(&[]).set(1.0);
        }
    });
    host
}

/// Hands back what runs, within the budget and a moment for the last acknowledgements.
async fn stop(settings: &Settings, executor: &Executor, nats: &Nats, consumer: JoinHandle<()>) {
    if !executor.drain(settings.worker.drain_budget).await {
        warn!(event = "drain_incomplete", runbook = "docs/operations.md#drain-incomplete");
    }
    let last = async {
        if !consumer.is_finished()
            && let Err(error) = consumer.await
        {
            warn!(event = "nats_consumer_cut", %error);
        }
        nats.flush().await;
    };
    if tokio::time::timeout(LAST_WORDS, last).await.is_err() {
        warn!(event = "nats_consumer_cut");
    }
}

/// Something that serves as long as the process does has ended.
fn ended_early<E: Into<anyhow::Error>>(
    what: &str,
    ended: Result<Result<(), E>, tokio::task::JoinError>,
) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("{what} has ended"),
        Ok(Err(error)) => error.into().context(format!("{what} has ended")),
        Err(error) => anyhow::Error::new(error).context(format!("{what} has ended")),
    }
}

/// The signals that end the process: the first one gently, the second at once.
struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[expect(clippy::exit, reason = "a second signal means now; what is unfinished comes back by itself")]
fn exit_at_once() {
    std::process::exit(start::SECOND_SIGNAL);
}

/// Waits until the store answers and has the schema that this program needs.
async fn reach_store(store: &dyn Store) -> anyhow::Result<()> {
    let mut pause = Duration::from_millis(200);
    loop {
        match store.health().await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_transient() => {
                warn!(event = "postgres_not_reached", %error, next_try_ms = pause.as_millis());
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) => return Err(anyhow::Error::new(error)),
        }
    }
}

fn door(executor: &Executor, http: &HttpSettings, metrics: &Metrics, nats: &Nats) -> HttpDoor {
    let (store, sink, nats) = (executor.store().clone(), executor.sink().clone(), nats.clone());
    let postgres: Check = Arc::new(move || {
        let store = store.clone();
        Box::pin(async move { store.health().await.is_ok() })
    });
    let dragonfly: Check = Arc::new(move || {
        let sink = sink.clone();
        Box::pin(async move { sink.healthy().await })
    });
    let queue: Check = Arc::new(move || {
        let nats = nats.clone();
        Box::pin(async move { nats.healthy().await })
    });
    let required = |dependency| http.ready_requires.contains(&dependency);
    let checks = Checks {
        services: vec![
            ("dragonfly", required(Dependency::Dragonfly), dragonfly),
            ("postgres", required(Dependency::Postgres), postgres),
            ("nats", required(Dependency::Nats), queue),
        ],
    };
    let metrics = metrics.clone();
    HttpDoor {
        executor: executor.clone(),
        checks: Arc::new(checks),
        metrics: Arc::new(move || metrics.render()),
        shows_metrics: http.metrics_port.is_none(),
        guard: Guard::default(),
        read: http.read,
        closing: CancellationToken::new(),
    }
}

/// Who may come in. Without tokens anybody may, since the clients that exist have none; that is said once.
fn guard(http: &HttpSettings) -> anyhow::Result<Guard> {
    let guard = compose::guard(http)?;
    agent_telemetry::metric::HTTP_UNAUTHENTICATED.with(&[]).set(f64::from(u8::from(guard.is_open())));
    if guard.is_open() {
        anyhow::ensure!(
            !http.require_auth,
            "`HTTP_REQUIRE_AUTH` asks for a token, and `API_TOKENS_FILE` holds none"
        );
        warn!(
            event = "http_unauthenticated",
            runbook = "docs/operations.md#http-unauthenticated",
            "anybody who reaches the port may use it: set API_TOKENS"
        );
    }
    Ok(guard)
}

async fn tidy(metrics: Metrics) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.run_upkeep();
    }
}
