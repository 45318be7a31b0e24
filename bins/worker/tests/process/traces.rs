//! Spans reach an OTLP receiver, in the publisher's trace.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::sync::{Arc, Mutex};

use crate::common::{PATIENCE, Plan, http, job};
use agent_testkit::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A receiver that takes everything and keeps the bodies.
struct Collector {
    port: u16,
    bodies: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(take(socket, Arc::clone(&kept)));
            }
        });
        Self { port, bodies }
    }

    /// Whether these bytes were sent: names stand as they are in protobuf, ids as 16 or 8 raw bytes.
    fn has(&self, wanted: &[u8]) -> bool {
        self.bodies.lock().unwrap().windows(wanted.len()).any(|bytes| bytes == wanted)
    }
}

/// One request on this connection; its head counts as part of what was sent.
async fn take(mut socket: TcpStream, kept: Arc<Mutex<Vec<u8>>>) {
    let mut request = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = socket.read(&mut buffer).await.unwrap_or(0);
        request.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let whole = end.is_some_and(|end| {
            let head = String::from_utf8_lossy(request.get(..end).unwrap_or_default()).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            request.len() >= end + 4 + length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
        });
        if whole || read == 0 {
            break;
        }
    }
    kept.lock().unwrap().extend(request);
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_leaves_one_trace_from_its_publisher_to_its_result() {
    let collector = Collector::start().await;
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let plan = Plan::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=canary-of-this-test")
        .env("OTEL_SERVICE_NAME", "the-service");
    let Some(mut stack) = plan.start().await else { return };
    let (status, result) = http(stack.port, "POST", "/", &job("traced", "tools").to_string()).await.unwrap();
    assert_eq!(status, 200, "{result}");
    stack.worker.signal("TERM");
    assert_eq!(stack.worker.ended().await, Some(0));

    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
    let wanted: [&[u8]; 8] = [
        b"/v1/traces",
        b"x-api-key: canary-of-this-test",
        b"the-service",
        b"invoke_agent main",
        b"chat gpt-4o-mini",
        b"gen_ai.usage.input_tokens",
        b"execute_tool write_file",
        &trace,
    ];
    for bytes in wanted {
        let text = String::from_utf8_lossy(bytes).into_owned();
        until(&format!("{text:?} is exported"), PATIENCE, async || collector.has(bytes).then_some(()))
            .await
            .unwrap();
    }
    let event: serde_json::Value = serde_json::from_str(&result).unwrap();
    let span = event["traceparent"].as_str().unwrap().split('-').nth(2).unwrap();
    let span = u64::from_str_radix(span, 16).unwrap().to_be_bytes();
    assert!(collector.has(&span), "the result names the job's own span");
}
