//! `worker run`: the same executor, a SQLite file, a live view.

pub(crate) mod view;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use agent_checkpoint_store::{JobRecord, JobStatus, SqliteStore, Store};
use agent_config::{Purpose, Settings};
use agent_executor_runtime::{Backends, Executor, NoPublisher, RuntimeSettings, Submission, SystemClock};
use agent_model_client::ModelClient;
use agent_stream_sink::{InProcess, InProcessLimits};
use agent_telemetry::logs::Output;
use agent_tool_host::{ScriptsOff, ToolHost};
use agent_wire::{JobRequest, stream};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::RunArgs;
use crate::embedded::ExampleModel;
use crate::{compose, start};

/// Thread of runs that name none: each is a new conversation.
fn fresh_thread() -> String {
    format!("run-{}", Uuid::new_v4().simple())
}

pub(crate) fn main(args: RunArgs) -> ExitCode {
    let settings = match start::settings(Purpose::Embedded) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Err(code) = start::logging(&settings, Output::Stderr, true) {
        return code;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(args, &settings)));
    match ended {
        Ok(code) => code,
        Err(error) => {
            let told = writeln!(std::io::stderr(), "worker run: {error:#}");
            // Whoever closed stderr does not want to know.
            drop(told);
            ExitCode::FAILURE
        }
    }
}

async fn run(args: RunArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let definition = compose::definition(&args.file)?;
    if let Some(folder) = args.store.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    }
    let path = args.store.display();
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&args.store).with_context(|| format!("cannot open `{path}`"))?);
    let sink = Arc::new(InProcess::new(InProcessLimits::default(), stream::gap));
    let mut view = view::View::new();
    let tools: Arc<dyn ToolHost> = match compose::scripts(settings) {
        Some(host) => Arc::new(host),
        None => Arc::new(ScriptsOff),
    };
    let backends = Backends {
        store: store.clone(),
        sink: sink.clone(),
        models: models(settings, &view)?,
        tools,
        publisher: Arc::new(NoPublisher),
        clock: Arc::new(SystemClock),
    };
    let thread = args.thread.clone().unwrap_or_else(fresh_thread);
    let own = RuntimeSettings { concurrency: 1, ..compose::runtime(settings)? };
    let executor = Executor::new(backends, own.with_lease(SqliteStore::LEASE));
    executor.start();
    let mut events = sink.subscribe(&thread);
    let job = submit(&executor, &store, &args, definition, &thread, &view).await?;
    view.note(&format!("thread {thread}; state in {path}"));
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    if view.show(&event.payload) {
                        break;
                    }
                }
                None => break,
            },
            _ = tokio::signal::ctrl_c() => {
                executor.drain(settings.worker.drain_budget.min(std::time::Duration::from_secs(3))).await;
                view.close(&Value::Null);
                view.note(&format!("interrupted; go on with: --thread {thread}"));
                return Ok(ExitCode::from(130));
            }
        }
    }
    let ended = executor.wait(&job).await?.context("the job is gone from the store")?;
    finish(&ended, &view)
}

/// The real model where a key or a base URL is set, else the scripted one.
fn models(settings: &Settings, view: &view::View) -> anyhow::Result<Arc<dyn ModelClient>> {
    let models = &settings.models;
    let real = models.openai_api_key.is_some()
        || models.openai_base_url.is_some()
        || models.anthropic_api_key.is_some()
        || models.anthropic_base_url.is_some()
        || models.ollama_base_url.is_some();
    if real {
        return Ok(Arc::new(compose::models(settings)?));
    }
    view.note(
        "no key is set: a built-in scripted model plays the example (set OPENAI_API_KEY for a real one)",
    );
    Ok(Arc::new(ExampleModel))
}

/// Offers the job; an open one of the same thread is gone on with instead.
async fn submit(
    executor: &Executor,
    store: &Arc<dyn Store>,
    args: &RunArgs,
    definition: Value,
    thread: &str,
    view: &view::View,
) -> anyhow::Result<String> {
    let open = store.jobs_of(thread).await?.into_iter().find(|job| !job.status.is_terminal());
    let request = match open {
        Some(job) => {
            view.note(&format!("going on with the interrupted job {}", job.job_id));
            JobRequest::from_stored(&job.request).context("the interrupted job cannot be read")?
        }
        None => {
            let input = args.input.as_ref().map_or_else(
                || json!({}),
                |text| json!({ "messages": [{ "role": "user", "content": text }] }),
            );
            let job = json!({
                "job_id": format!("job-{}", Uuid::new_v4().simple()),
                "thread_id": thread,
                "agent_definition": definition,
                "input_payload": input,
            });
            JobRequest::from_json(job.to_string().as_bytes(), &[], &executor.settings().limits)?
        }
    };
    let job_id = request.job_id.to_string();
    loop {
        let slot = executor.direct_slot().await.context("the executor is stopping")?;
        match executor.submit(request.clone(), slot).await? {
            Submission::Running(_) | Submission::Done(_) => return Ok(job_id),
            Submission::IdReused => bail!("the job's id is taken"),
            Submission::Queued { retry_in } => {
                view.note(&format!(
                    "another process holds the thread; trying again in {} s",
                    retry_in.as_secs() + 1
                ));
                tokio::time::sleep(retry_in + std::time::Duration::from_millis(200)).await;
            }
        }
    }
}

/// The result on stdout, the cost on stderr.
fn finish(job: &JobRecord, view: &view::View) -> anyhow::Result<ExitCode> {
    let event: Value = serde_json::from_slice(job.result.as_deref().unwrap_or_default())?;
    let usage = event.pointer("/data/result/usage").cloned().unwrap_or_default();
    view.close(&usage);
    if job.status != JobStatus::Completed {
        let message =
            event.pointer("/data/error/message").and_then(Value::as_str).unwrap_or("no reason was kept");
        bail!("{message}");
    }
    let output = match event.pointer("/data/result/output") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    writeln!(std::io::stdout(), "{output}")?;
    Ok(ExitCode::SUCCESS)
}
