//! The doors of `worker serve` as their clients see them: the IDE's sequence, reconnects, another pod, slow and
//! unknown clients.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Plan, Stack, http, job, metric, stack};
use agent_testkit::{free_port, until};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, protocol::CloseFrame};

/// Longer than a lease, the redelivery after it, and a job.
const TAKEOVER: Duration = Duration::from_secs(100);

/// A Server-Sent Events client on a connection of its own.
struct Sse {
    socket: TcpStream,
    buffer: String,
    status: u16,
}

impl Sse {
    async fn open(port: u16, path: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut client = Self { socket, buffer: String::new(), status: 0 };
        while !client.buffer.contains("\r\n\r\n") {
            assert!(client.more().await, "no head");
        }
        let (head, rest) = client.buffer.split_once("\r\n\r\n").unwrap();
        client.status = head.split(' ').nth(1).unwrap().parse().unwrap();
        client.buffer = rest.to_owned();
        client
    }

    async fn more(&mut self) -> bool {
        let mut bytes = vec![0; 64 * 1024];
        let read = self.socket.read(&mut bytes).await.unwrap_or(0);
        self.buffer.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }

    /// The next event with its number; `None` at the end of the answer.
    async fn next(&mut self) -> Option<(u64, Value)> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.map(str::trim).map(str::to_owned)
                };
                // Chunk sizes stand between the pieces; no field begins like them.
                let event = field("id:").zip(field("event:")).zip(field("data:"));
                self.buffer = rest.to_owned();
                if let Some(((id, kind), data)) = event {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    return Some((id.parse().unwrap(), json!({ "event_type": kind, "data": data })));
                }
            } else if !self.more().await {
                return None;
            }
        }
    }
}

/// All events after a number, to the end of the answer.
async fn events(port: u16, thread: &str, since: u64) -> Vec<Value> {
    let mut client = Sse::open(port, &format!("/threads/{thread}/events?since={since}"), "").await;
    assert_eq!(client.status, 200);
    let mut events = Vec::new();
    while let Some((_, event)) = client.next().await {
        events.push(event);
    }
    events
}

/// What counts after the markers are obeyed.
fn counted(events: &[Value]) -> Vec<Value> {
    let mut counted: Vec<Value> = Vec::new();
    for event in events {
        if event["event_type"] == "attempt_superseded" {
            let (from, of) = (event["data"]["from_seq"].as_u64(), &event["data"]["message_id"]);
            counted.retain(|old| {
                let text = old["event_type"] == "on_llm_stream" && old["data"]["message_id"] == *of;
                !(old["data"]["seq"].as_u64() >= from && (of.is_null() || text))
            });
        }
        counted.push(event.clone());
    }
    counted
}

async fn invoke(port: u16, job: &Value) {
    let (status, body) = http(port, "POST", "/invoke", &job.to_string()).await.unwrap();
    assert_eq!(status, 200, "{body}");
}

/// Frames of a WebSocket until it closes, and how it closed.
async fn frames(port: u16, path: &str) -> (Vec<Value>, Option<CloseFrame>) {
    let url = format!("ws://127.0.0.1:{port}{path}");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    // The IDE passes on what its browser says; nobody reads it.
    socket.send(Message::text("{\"hello\": \"from the browser\"}")).await.unwrap();
    let mut frames = Vec::new();
    let read = async {
        while let Some(message) = socket.next().await {
            match message.unwrap() {
                Message::Text(text) => frames.push(serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => return frame,
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        None
    };
    let close = tokio::time::timeout(PATIENCE, read).await.unwrap();
    (frames, close)
}

/// A stack whose empty definitions become one that writes files.
async fn ide_stack() -> Option<Stack> {
    let path = std::env::temp_dir().join(format!("definition-{}.json", free_port().unwrap()));
    let definition = &job("x", "tools")["agent_definition"];
    std::fs::write(&path, definition.to_string()).unwrap();
    Plan::default().env("DEFAULT_AGENT_DEFINITION_FILE", path.to_str().unwrap()).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ide_client_gets_its_files_by_its_own_sequence() {
    let Some(stack) = ide_stack().await else { return };
    let thread = "refinement-proposal-1717171717";
    let body = json!({
        "trace_id": "trace-proposal-123", "job_id": thread, "agent_definition": {},
        "input_payload": {
            "messages": [{ "role": "user", "content": "Please do the work." }],
            "instructions": "Please do the work.", "context": "", "context_file_path": "",
        },
    });
    let (status, answer) = http(stack.port, "POST", "/invoke", &body.to_string()).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["thread_id"]), (200, &json!(thread)), "{answer}");

    // As api/routers/websockets.py: the last files seen are the result once `end` is there.
    let (frames, close) = frames(stack.port, &format!("/stream/{thread}")).await;
    let mut last_files = None;
    for frame in &frames {
        assert!(frame["data"].is_object());
        if frame["event_type"] == "on_state_update" && frame["data"].get("files").is_some() {
            last_files = Some(frame["data"]["files"].clone());
        }
    }
    assert_eq!(frames.last().unwrap()["event_type"], "end");
    assert_eq!(u16::from(close.unwrap().code), 1000);
    let files = last_files.unwrap();
    assert_eq!(files["/notes.md"]["content"], json!(["# notes", "gamma line", "beta line", ""]));
    assert_eq!(files.as_object().unwrap().keys().collect::<Vec<_>>(), ["/notes.md", "/summary.md"]);

    let (status, state) = http(stack.port, "GET", &format!("/state/{thread}"), "").await.unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!((status, &state["status"]), (200, &json!("completed")));
    assert_eq!(state["generated_files"], files);
    assert!(state["result"]["usage"]["model_calls"].as_u64().unwrap() > 0, "{state}");

    // A late joiner, by the old prefix, gets the same; with `since` nothing older.
    let (late, _) = self::frames(stack.port, &format!("/deepagents-runtime/stream/{thread}")).await;
    assert_eq!(late, frames);
    let (tail, _) = self::frames(stack.port, &format!("/stream/{thread}?since={}", frames.len() - 2)).await;
    assert_eq!(tail, frames[frames.len() - 2..]);
    let served = events(stack.port, thread, 0).await;
    assert_eq!(served, frames, "over Server-Sent Events the same");

    let (_, page) =
        http(stack.port, "GET", &format!("/threads/{thread}/history?limit=10"), "").await.unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    let next = page["next_before"].as_str().unwrap();
    let path = format!("/threads/{thread}/history?limit=10&before={next}");
    let (_, rest) = http(stack.port, "GET", &path, "").await.unwrap();
    let rest: Value = serde_json::from_str(&rest).unwrap();
    let of = |page: &Value| page["checkpoints"].as_array().unwrap().len();
    assert_eq!((of(&page), of(&rest), &rest["next_before"]), (10, 5, &Value::Null));

    let (status, body) = http(stack.port, "DELETE", &format!("/cleanup/{thread}"), "").await.unwrap();
    assert_eq!((status, body.as_str()), (204, ""));
    for (method, path) in [("DELETE", "cleanup"), ("GET", "state")] {
        assert_eq!(http(stack.port, method, &format!("/{path}/{thread}"), "").await.unwrap().0, 404);
    }
    assert_eq!(http(stack.port, "GET", &format!("/threads/{thread}/events"), "").await.unwrap().0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_breaks_the_socket_and_ends_the_stream() {
    let Some(stack) = stack().await else { return };
    let mut bad = job("bad-1", "hello");
    bad["agent_definition"]["nodes"][0]["config"]["model"]["provider"] = json!("nobody");
    invoke(stack.port, &bad).await;
    let (frames, close) = frames(stack.port, "/stream/bad-1").await;
    let kinds: Vec<&Value> = frames.iter().map(|frame| &frame["event_type"]).collect();
    assert_eq!(kinds.last().unwrap(), &&json!("error"), "no `end`: it would mean success");
    assert_eq!(u16::from(close.unwrap().code), 1011);
    let served = events(stack.port, "bad-1", 0).await;
    assert_eq!(served[served.len() - 2]["event_type"], "error");
    assert_eq!(served[served.len() - 1]["event_type"], "end");
    assert_eq!(served[served.len() - 1]["data"]["status"], "failed");
    let path = format!("/threads/bad-1/events?since={}", served.len());
    assert_eq!(http(stack.port, "GET", &path, "").await.unwrap(), (204, String::new()));
    let (_, state) = http(stack.port, "GET", "/state/bad-1", "").await.unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!((&state["status"], &state["result"]), (&json!("failed"), &Value::Null));
    assert!(!state["error"]["message"].as_str().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_cut_off_a_hundred_times_ends_with_the_same_events() {
    let Some(stack) = stack().await else { return };
    invoke(stack.port, &job("storm-1", "tools tokens=500 delay_ms=8")).await;
    let (mut seen, mut last, mut cuts) = (Vec::new(), 0, 0);
    let begun = Instant::now();
    'reading: loop {
        let header = format!("last-event-id: {last}\r\n");
        let mut client = Sse::open(stack.port, "/threads/storm-1/events", &header).await;
        // Another number of events each time, and often none.
        let take = if cuts < 100 { cuts % 3 } else { usize::MAX };
        for _ in 0..take {
            let Some((seq, event)) = client.next().await else { break 'reading };
            (last, _) = (seq, seen.push(event));
        }
        cuts += 1;
    }
    eprintln!("reconnect storm: {cuts} cuts, {} events, {:?}", seen.len(), begun.elapsed());
    assert!(cuts >= 100, "{cuts}");
    assert_eq!(counted(&seen), counted(&events(stack.port, "storm-1", 0).await));
    let numbers: Vec<u64> = seen.iter().map(|event| event["data"]["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_one_worker_follows_a_job_that_another_one_began_and_died_over() {
    let Some(mut stack) = stack().await else { return };
    stack.publish(&job("pods-1", "tools tokens=400 delay_ms=10")).await;
    until("the first worker runs it", PATIENCE, async || (stack.model.requests() > 1).then_some(()))
        .await
        .unwrap();
    let other = stack.another(&[]);
    other.ready().await;
    let mut client = Sse::open(other.port, "/threads/pods-1/events?since=0", "").await;
    let mut seen = Vec::new();
    // Text of the call in flight reaches the other pod before it is in any journal.
    while seen.iter().filter(|event: &&Value| event["event_type"] == "on_llm_stream").count() < 5 {
        seen.push(client.next().await.unwrap().1);
    }
    stack.worker.signal("KILL");
    stack.worker.ended().await;
    let (heard, killed) = (seen.len(), Instant::now());
    let rest = async {
        while let Some((_, event)) = client.next().await {
            seen.push(event);
        }
    };
    tokio::time::timeout(TAKEOVER, rest).await.unwrap();
    let (after, took) = (seen.len() - heard, killed.elapsed());
    eprintln!("cross-pod: {heard} events before the worker died, {after} after; its end came {took:?} later");
    assert_eq!(seen.last().unwrap()["event_type"], "end");
    let epochs: Vec<&Value> = seen.iter().map(|event| &event["data"]["epoch"]).collect();
    assert_eq!(epochs.last().unwrap(), &&json!(2));
    assert!(seen.iter().any(|event| event["event_type"] == "attempt_superseded"));
    assert_eq!(counted(&seen), counted(&events(other.port, "pods-1", 0).await));
}

/// Kilobytes of memory of a process.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_nothing_cost_little_and_harm_nobody() {
    let Some(stack) = Plan::default().env("HTTP_WRITE_SECONDS", "1").start().await else { return };
    let before = memory(stack.worker.child.id());
    let mut request = format!("ws://127.0.0.1:{}/stream/slow-1", stack.port).into_client_request().unwrap();
    request.headers_mut().insert("x-test", "1".parse().unwrap());
    let mut stuck = Vec::new();
    for _ in 0..20 {
        stuck.push(tokio_tungstenite::connect_async(request.clone()).await.unwrap().0);
        stuck.push(tokio_tungstenite::connect_async(request.clone()).await.unwrap().0);
    }
    // Megabytes of text and states for each listener.
    let mut big = job("slow-1", "tools tokens=4000");
    big["input_payload"]["messages"][0]["content"] = json!("x".repeat(600_000));
    let (status, _) = http(stack.port, "POST", "/", &big.to_string()).await.unwrap();
    assert_eq!(status, 200, "the job is not held up");
    let all = events(stack.port, "slow-1", 0).await;
    assert_eq!(all.last().unwrap()["event_type"], "end", "who reads gets everything");
    until("the stuck clients are cut off", PATIENCE, async || {
        let open = metric(stack.port, "agent_executor_websocket_connections_active").await?;
        (open == 0.0).then_some(())
    })
    .await
    .unwrap();
    let grown = memory(stack.worker.child.id()).saturating_sub(before) / 1024;
    eprintln!("slow clients: {} of them cost {grown} MiB", stuck.len());
    assert!(grown < 200, "{grown} MiB for 40 clients that read nothing");
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_but_the_probes_answers() {
    let metrics_port = free_port().unwrap().to_string();
    let plan = Plan::default().env("API_TOKENS", "ide=s3cret-of-the-ide").env("METRICS_PORT", &metrics_port);
    let Some(stack) = plan.env("HTTP_REQUIRE_AUTH", "true").start().await else { return };
    let routes = [
        ("POST", "/"),
        ("POST", "/invoke"),
        ("GET", "/state/x"),
        ("GET", "/stream/x"),
        ("GET", "/threads/x/events"),
        ("GET", "/threads/x/history"),
        ("GET", "/jobs/x"),
        ("POST", "/jobs/x/cancel"),
        ("DELETE", "/cleanup/x"),
        ("GET", "/openapi.json"),
        ("GET", "/schemas/job.json"),
        ("GET", "/nothing"),
    ];
    for (method, path) in routes {
        for prefix in ["", "/deepagents-runtime"] {
            let (status, body) = http(stack.port, method, &format!("{prefix}{path}"), "{}").await.unwrap();
            assert_eq!(status, 401, "{method} {prefix}{path}: {body}");
        }
    }
    for (path, expected) in [("/health", 200), ("/ready", 200), ("/docs", 200)] {
        assert_eq!(http(stack.port, "GET", path, "").await.unwrap().0, expected, "{path}");
    }
    let with = |token: &str| format!("authorization: Bearer {token}\r\n");
    assert_eq!(Sse::open(stack.port, "/jobs/x", &with("wrong")).await.status, 401);
    assert_eq!(Sse::open(stack.port, "/jobs/x", &with("s3cret-of-the-ide")).await.status, 404);
    assert_eq!(Sse::open(stack.port, "/metrics", &with("s3cret-of-the-ide")).await.status, 404);
    let own = metrics_port.parse().unwrap();
    assert_eq!(metric(own, "agent_executor_http_unauthenticated").await, Some(0.0));
    assert!(metric(own, "agent_executor_http_refused_total{reason=\"auth\"}").await.unwrap() > 20.0);

    // A browser's socket: the token as a protocol, and only from a known page.
    let url = format!("ws://127.0.0.1:{}/stream/x", stack.port);
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "bearer, s3cret-of-the-ide".parse().unwrap());
    tokio_tungstenite::connect_async(request.clone()).await.unwrap();
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    assert!(tokio_tungstenite::connect_async(request).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_too_much_or_too_slowly_are_told_or_cut_off() {
    let plan = Plan::default().env("HTTP_READ_SECONDS", "1").env("HTTP_CONNECTIONS_PER_PEER", "30");
    let Some(stack) = plan.start().await else { return };
    let big = format!("{{\"job_id\": \"{}\"}}", "x".repeat(1_100_000));
    let mut socket = TcpStream::connect(("127.0.0.1", stack.port)).await.unwrap();
    let head = format!("POST /invoke HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n", big.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = socket.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).contains("413"));

    for half in ["POST /invoke HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n{", "GET /health HTT", ""] {
        let mut socket = TcpStream::connect(("127.0.0.1", stack.port)).await.unwrap();
        socket.write_all(half.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "cut off: {half}");
    }
    let long = format!("GET /health HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let mut socket = TcpStream::connect(("127.0.0.1", stack.port)).await.unwrap();
    socket.write_all(long.as_bytes()).await.ok();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.ok();
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));

    // A WebSocket's client that sends more than anybody reads.
    let url = format!("ws://127.0.0.1:{}/stream/nobody", stack.port);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket.send(Message::text("x".repeat(100_000))).await.ok();
    let cut = async { while let Some(Ok(Message::Ping(_) | Message::Pong(_))) = socket.next().await {} };
    assert!(tokio::time::timeout(PATIENCE, cut).await.is_ok(), "cut off: a large frame");

    let mut crowd = Vec::new();
    for _ in 0..60 {
        crowd.push(TcpStream::connect(("127.0.0.1", stack.port)).await.unwrap());
    }
    drop(crowd);
    until("the door is open again", PATIENCE, async || {
        let refused = metric(stack.port, "agent_executor_http_refused_total{reason=\"connections\"}").await?;
        (refused > 10.0).then_some(())
    })
    .await
    .unwrap();
}
