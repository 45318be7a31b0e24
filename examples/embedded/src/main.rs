//! The executor inside another program.

use std::{sync::Arc, time::Duration};

use agent_checkpoint_store::MemoryStore;
use agent_executor_runtime::{Backends, Executor, NoPublisher, RuntimeSettings, SystemClock};
use agent_model_client::{Answer, Scripted};
use agent_stream_sink::NoSink;
use agent_tool_host::ScriptsOff;
use agent_wire::{JobRequest, Limits};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let backends = Backends {
        store: Arc::new(MemoryStore::default()),
        sink: Arc::new(NoSink),
        models: Arc::new(Scripted::new(|asked| {
            Ok(Answer::text(format!("{} message", asked.messages.len())))
        })),
        tools: Arc::new(ScriptsOff),
        publisher: Arc::new(NoPublisher),
        clock: Arc::new(SystemClock),
    };
    let executor = Executor::new(backends, RuntimeSettings::new("embedded"));
    executor.start();

    let job =
        br#"{"job_id":"one","agent_definition":{"nodes":[{"type":"orchestrator","config":{"name":"main",
        "system_prompt":"Count.","model":{"provider":"openai","model":"any"}}}]},
        "input_payload":{"messages":[{"role":"user","content":"How many?"}]}}"#;
    let request = JobRequest::parse(job, &[], &Limits::default(), None)
        .map_err(|refused| anyhow::anyhow!(refused.message))?;
    let slot = executor.direct_slot().await.ok_or_else(|| anyhow::anyhow!("the executor is stopping"))?;
    executor.submit(request, slot).await?;
    let ended = executor.wait("one").await?.and_then(|job| job.result).unwrap_or_default();
    println!("{}", serde_json::from_slice::<serde_json::Value>(&ended)?["data"]["result"]["output"]);
    executor.drain(Duration::from_secs(5)).await;
    Ok(())
}
