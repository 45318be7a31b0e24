//! `cargo xtask demo`: one job as a client would send it, its stream and its result.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_testkit::Subscription;
use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use serde_json::Value;

use crate::flags::Demo;
use crate::{job, place, stack};

const LIMIT: Duration = Duration::from_secs(300);

impl Demo {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        ensure!(
            stack::ready(stack::WORKER),
            "no worker is ready on port {}: `cargo xtask up` first",
            stack::WORKER
        );
        let definition = self.definition()?;
        let input = self.input.as_deref().unwrap_or("Please do the work and write down what you found.");
        place::runtime()?.block_on(follow(&definition, input))
    }

    fn definition(&self) -> anyhow::Result<Value> {
        let example = place::root().join("examples/research-team/agent.json");
        let file: Option<PathBuf> = self.agent.clone().or_else(|| example.is_file().then_some(example));
        let Some(file) = file else { return Ok(job::team()) };
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
    }
}

async fn follow(definition: &Value, input: &str) -> anyhow::Result<()> {
    let id = job::fresh_id("demo");
    let mut stream =
        Subscription::open(&stack::address(stack::REDIS), &format!("langgraph:stream:{id}")).await?;
    let client = async_nats::connect(stack::address(stack::NATS)).await?;
    let mut results = client.subscribe("agent.status.*").await?;
    client.flush().await?;

    let subject = format!("agent.execute.{id}");
    let body = serde_json::to_vec(&job::event(&id, definition, input))?;
    let context = async_nats::jetstream::new(client);
    context.publish(subject.clone(), body.into()).await?.await?;
    println!("published {subject}\n");

    let begun = Instant::now();
    loop {
        ensure!(begun.elapsed() < LIMIT, "no `end` event within {LIMIT:?}");
        let Some((_, payload)) = stream.next(Duration::from_secs(1)).await? else { continue };
        let message: Value = serde_json::from_slice(&payload)?;
        println!("{}", line(&message));
        if matches!(message.get("event_type").and_then(Value::as_str), Some("end" | "error")) {
            break;
        }
    }
    print_result(&id, &mut results).await
}

/// One event on one line of a terminal.
fn line(message: &Value) -> String {
    let kind = message.get("event_type").and_then(Value::as_str).unwrap_or("?");
    let data = message.get("data").map(Value::to_string).unwrap_or_default();
    let short: String = data.chars().take(120).collect();
    let more = if short.len() < data.len() { "…" } else { "" };
    format!("{kind:<18} {short}{more}")
}

async fn print_result(id: &str, results: &mut async_nats::Subscriber) -> anyhow::Result<()> {
    let wanted = async {
        while let Some(message) = results.next().await {
            let event: Value = serde_json::from_slice(&message.payload)?;
            if event.pointer("/data/job_id").and_then(Value::as_str) == Some(id) {
                println!("\n{}\n{}", message.subject, serde_json::to_string_pretty(&event)?);
                return if message.subject.ends_with("completed") { Ok(()) } else { bail!("the job failed") };
            }
        }
        bail!("the subscription ended")
    };
    tokio::time::timeout(Duration::from_secs(30), wanted).await.context("no result event within 30 s")?
}
