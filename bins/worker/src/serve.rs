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
use agent_transport_http::{Check, Checks, HttpDoor, router};
use agent_transport_nats::{Nats, NatsPublisher};
use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{compose, start};

/// How often histograms are tidied.
const UPKEEP: Duration = Duration::from_secs(5);

pub(crate) fn main() -> ExitCode {
    let settings = match start::settings(Purpose::Serve) {
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
    match runtime.block_on(serve(settings)) {
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

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let metrics = agent_telemetry::install().context("metrics cannot be recorded")?;
    let traces = compose::traces(&settings)?;
    let store: Arc<dyn Store> = Arc::new(connect_store(&settings).await?);
    let sink: Arc<dyn StreamSink> = Arc::new(compose::sink(&settings)?);
    let nats = agent_transport_nats::connect(compose::nats(&settings)).await.context("NATS")?;
    let backends = Backends {
        store: store.clone(),
        sink: sink.clone(),
        models: Arc::new(compose::models(&settings)?),
        tools: tools(&settings),
        publisher: Arc::new(NatsPublisher::new(nats.clone())),
        clock: Arc::new(SystemClock),
    };
    let executor = Executor::new(backends, compose::runtime(&settings)?);
    executor.start();

    let stop_http = CancellationToken::new();
    let door = door(&executor, &settings.http, &metrics, &nats);
    let address: SocketAddr = format!("{}:{}", settings.http.host, settings.http.port)
        .parse()
        .with_context(|| format!("`HTTP_HOST`: `{}` is no address", settings.http.host))?;
    let http = tokio::spawn(agent_transport_http::serve(address, router(door), stop_http.clone(), |_| ()));
    let consumer = tokio::spawn(agent_transport_nats::consume(nats.clone(), executor.clone()));
    let upkeep = tokio::spawn(tidy(metrics));
    info!(event = "agent_executor_service_started", concurrency = settings.worker.concurrency);

    let failed = wait_for_end(http, &stop_http).await?;
    let drained = executor.drain(settings.worker.drain_budget).await;
    if tokio::time::timeout(Duration::from_secs(5), consumer).await.is_err() {
        warn!(event = "nats_consumer_cut");
    }
    stop_http.cancel();
    upkeep.abort();
    nats.flush().await;
    if let Some(traces) = traces {
        // It blocks until the last spans are taken.
        tokio::task::spawn_blocking(move || traces.shut_down()).await?;
    }
    if !drained {
        warn!(event = "drain_incomplete");
    }
    failed.map_or(Ok(()), Err)
}

/// Says at once where scripts cannot run; definitions with scripts are then refused one by one.
fn tools(settings: &Settings) -> Arc<dyn ToolHost> {
    let Some(host) = compose::scripts(settings).map(Arc::new) else { return Arc::new(ScriptsOff) };
    let probed = host.clone();
    tokio::spawn(async move {
        if let Err(error) = probed.probe().await {
            warn!(event = "tool_scripts_unavailable", code = error.code(), %error);
        }
    });
    host
}

/// Waits for the first signal, or for the HTTP listener to break. A second signal ends the process at once.
async fn wait_for_end(
    http: tokio::task::JoinHandle<Result<(), agent_transport_http::ServeError>>,
    stop_http: &CancellationToken,
) -> anyhow::Result<Option<anyhow::Error>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => info!(event = "agent_executor_service_shutting_down", signal = "SIGTERM"),
        _ = interrupt.recv() => info!(event = "agent_executor_service_shutting_down", signal = "SIGINT"),
        ended = http => {
            stop_http.cancel();
            return match ended {
                Ok(Ok(())) => Ok(None),
                Ok(Err(error)) => Ok(Some(error.into())),
                Err(error) => Ok(Some(error.into())),
            };
        }
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        exit_at_once();
    });
    Ok(None)
}

#[expect(clippy::exit, reason = "a second signal means now; what is unfinished comes back by itself")]
fn exit_at_once() {
    std::process::exit(start::SECOND_SIGNAL);
}

async fn connect_store(settings: &Settings) -> anyhow::Result<PostgresStore> {
    let config = compose::postgres(settings)?;
    let mut pause = Duration::from_millis(200);
    loop {
        match PostgresStore::connect(config.clone()).await {
            Ok(store) => return Ok(store),
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
    }
}

async fn tidy(metrics: Metrics) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.run_upkeep();
    }
}
