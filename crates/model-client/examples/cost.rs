//! CPU time of one model call, sockets included: `cost BASE_URL [CALLS]` against a server that streams at once.
//!
//! For example `python3 bench/fake_llm.py` and `cargo run -p agent-model-client --release --example cost --
//! http://127.0.0.1:9100/v1 5000`. Ten calls at a time, 12 KB of tools, whatever number of pieces the server sends.
#![expect(clippy::print_stdout, reason = "a program for a person")]

use std::{error::Error, fs, sync::Arc, time::Instant};

use agent_executor_core::{ModelOptions, ModelRef, ModelRequest, ToolSpec};
use agent_langgraph_codec::Message;
use agent_model_client::{HttpClient, HttpConfig, ModelClient};

/// Clock ticks of 10 ms that this process has used, user and system.
fn cpu_ticks() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn request() -> ModelRequest {
    let tool = |number: usize| ToolSpec {
        name: format!("tool_{number}"),
        description: "what it does ".repeat(80),
        parameters: serde_json::json!({"type": "object", "properties": {"path": {"type": "string",
            "description": "a path ".repeat(40)}}}),
    };
    ModelRequest {
        model: ModelRef { provider: "openai".to_owned(), model: "gpt-4o-mini".to_owned() },
        system: Some("You are measured. [[fake:hello tokens=50]]".to_owned()),
        messages: vec![Arc::new(Message::human("hello", "h"))],
        tools: (0..9).map(tool).collect(),
        max_output_tokens: None,
        response_format: None,
        options: ModelOptions::default(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is there already")?;
    let mut args = std::env::args().skip(1);
    let base_url = args.next().ok_or("usage: cost BASE_URL [CALLS]")?;
    let calls: u64 = args.next().as_deref().unwrap_or("2000").parse()?;
    let mut config = HttpConfig::default();
    config.provider_mut("openai").ok_or("no such provider")?.base_url = base_url;
    let (client, request) = (Arc::new(HttpClient::new(config)?), Arc::new(request()));
    client.complete(&request, &mut |_| {}).await?;

    let (start, ticks) = (Instant::now(), cpu_ticks().unwrap_or(0));
    let workers: Vec<_> = (0..10)
        .map(|_| {
            let (client, request) = (client.clone(), request.clone());
            tokio::spawn(async move {
                let mut pieces = 0_u64;
                for _ in 0..calls / 10 {
                    client.complete(&request, &mut |_| pieces += 1).await?;
                }
                Ok::<u64, agent_executor_core::ModelError>(pieces)
            })
        })
        .collect();
    let mut pieces = 0;
    for worker in workers {
        pieces += worker.await??;
    }
    let cpu = (cpu_ticks().unwrap_or(0) - ticks) * 10_000 / calls.max(1);
    println!(
        "{calls} calls, {} pieces each: {cpu} µs CPU a call, {:?} in all",
        pieces / calls.max(1),
        start.elapsed()
    );
    Ok(())
}
