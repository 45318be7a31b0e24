//! A model provider that always answers the same (see `script.rs` for what), over HTTP, in OpenAI's chat
//! completions shape, streaming and not.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::script::{Plan, SENT_AT};

/// Kept for assertions; older ones go first.
const BODIES_KEPT: usize = 1_000;

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFault {
    /// An HTTP error with an OpenAI error body, and `retry-after` in seconds where given.
    Status(u16, Option<u64>),
    /// The connection closes after so many pieces of the stream, without its end.
    CutAfter(usize),
    /// The stream stops after so many pieces and stays open for ever.
    StallAfter(usize),
    /// The answer's head comes so late.
    Delay(Duration),
}

#[derive(Debug, Default)]
struct Seen {
    by_marker: BTreeMap<String, u64>,
    bodies: VecDeque<Value>,
    faults: VecDeque<ModelFault>,
    always: Option<ModelFault>,
}

#[derive(Debug, Default)]
struct State {
    requests: AtomicU64,
    ids: AtomicU64,
    seen: Mutex<Seen>,
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A provider on 127.0.0.1; ends when dropped.
#[derive(Debug)]
pub struct FakeModel {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl FakeModel {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_on(0).await
    }

    /// Listens on `port`; 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_on(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let (address, state) = (listener.local_addr()?, Arc::new(State::default()));
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, task })
    }

    /// What to set as `OPENAI_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Requests for a completion so far, refused ones included.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Requests whose system prompt had this marker (`hello`, `tools`, …; `none` for those without).
    pub fn requests_of(&self, marker: &str) -> u64 {
        self.state.seen().by_marker.get(marker).copied().unwrap_or_default()
    }

    /// The newest request bodies, oldest first, at most 1,000.
    pub fn bodies(&self) -> Vec<Value> {
        self.state.seen().bodies.iter().cloned().collect()
    }

    /// Lets the next requests fail, one fault each, in the order given.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = ModelFault>) {
        self.state.seen().faults.extend(faults);
    }

    /// Lets every request fail like this, from now on; `None` ends it. What [`FakeModel::fail_next`] was given goes first.
    pub fn fail_all(&self, fault: Option<ModelFault>) {
        self.state.seen().always = fault;
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            client = listener.accept() => {
                let Ok((client, _)) = client else { continue };
                client.set_nodelay(true).ok();
                let state = Arc::clone(&state);
                // A client that hangs up in the middle is no failure of ours.
                connections.spawn(async move { serve(client, &state).await.ok(); });
            }
        }
    }
}

/// Requests of one connection, one after another, until the client or a fault closes it.
async fn serve(client: TcpStream, state: &State) -> anyhow::Result<()> {
    let mut client = BufReader::new(client);
    while let Some((path, body)) = read_request(&mut client).await? {
        let stream = client.get_mut();
        if path.ends_with("/chat/completions") {
            if !answer(stream, &body, state).await? {
                return Ok(());
            }
        } else if path.ends_with("/models") {
            let list = json!({"object": "list", "data": [{"id": "fake", "object": "model"}]});
            respond(stream, 200, "", &list).await?;
        } else {
            let error =
                json!({"error": {"message": format!("no route {path}"), "type": "invalid_request_error"}});
            respond(stream, 404, "", &error).await?;
        }
    }
    Ok(())
}

/// `false`: the connection is to be closed.
async fn answer(stream: &mut TcpStream, body: &[u8], state: &State) -> anyhow::Result<bool> {
    state.requests.fetch_add(1, Ordering::Relaxed);
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        let error = json!({"error": {"message": "the body is not JSON", "type": "invalid_request_error"}});
        respond(stream, 400, "", &error).await?;
        return Ok(true);
    };
    let plan = Plan::of(&request);
    let fault = note(state, &plan, &request);
    match fault {
        Some(ModelFault::Status(status, after)) => {
            let error = json!({"error": {"message": "injected", "type": "server_error", "code": null}});
            let header = after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
            respond(stream, status, &header, &error).await?;
            return Ok(true);
        }
        Some(ModelFault::Delay(time)) => tokio::time::sleep(time).await,
        Some(ModelFault::CutAfter(_) | ModelFault::StallAfter(_)) | None => {}
    }
    let id = state.ids.fetch_add(1, Ordering::Relaxed);
    let pieces = if plan.calls.is_empty() { plan.tokens } else { plan.argument_pieces * plan.calls.len() };
    if request.get("stream").and_then(Value::as_bool) != Some(true) {
        tokio::time::sleep(plan.delay * u32::try_from(pieces).unwrap_or(u32::MAX)).await;
        respond(stream, 200, "", &whole(&request, &plan, id, pieces)).await?;
        return Ok(true);
    }
    stream_answer(stream, &chunks(&request, &plan, id, pieces), plan.delay, fault).await
}

/// Counts the request and takes the fault that waits for it.
fn note(state: &State, plan: &Plan, request: &Value) -> Option<ModelFault> {
    let mut seen = state.seen();
    *seen.by_marker.entry(plan.marker.clone()).or_default() += 1;
    if seen.bodies.len() == BODIES_KEPT {
        seen.bodies.pop_front();
    }
    seen.bodies.push_back(request.clone());
    seen.faults.pop_front().or_else(|| seen.always.clone())
}

async fn stream_answer(
    stream: &mut TcpStream,
    chunks: &[(bool, String)],
    delay: Duration,
    fault: Option<ModelFault>,
) -> anyhow::Result<bool> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut out = head.to_owned();
    let mut sent = 0;
    for (piece, data) in chunks {
        match fault {
            Some(ModelFault::CutAfter(limit)) if sent >= limit => {
                stream.write_all(out.as_bytes()).await?;
                return Ok(false);
            }
            Some(ModelFault::StallAfter(limit)) if sent >= limit => {
                stream.write_all(out.as_bytes()).await?;
                std::future::pending::<()>().await;
            }
            Some(_) | None => {}
        }
        if *piece {
            sent += 1;
            if !delay.is_zero() {
                stream.write_all(std::mem::take(&mut out).as_bytes()).await?;
                tokio::time::sleep(delay).await;
            }
        }
        let event = format!("data: {}\n\n", sent_now(data));
        out.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    out.push_str("0\r\n\r\n");
    stream.write_all(out.as_bytes()).await?;
    Ok(true)
}

/// The event with the present moment where it asks for it.
fn sent_now(data: &str) -> Cow<'_, str> {
    if !data.contains(SENT_AT) {
        return Cow::Borrowed(data);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Cow::Owned(data.replace(SENT_AT, &format!("{} ", since.as_micros())))
}

/// The events of a stream; `true` marks the pieces that are paced and counted.
fn chunks(request: &Value, plan: &Plan, id: u64, pieces: usize) -> Vec<(bool, String)> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = envelope(request, id, "chat.completion.chunk", choices);
        if let (Some(members), Some(usage)) = (chunk.as_object_mut(), usage) {
            members.insert("usage".to_owned(), usage);
        }
        chunk.to_string()
    };
    let delta = |delta: Value, finish: Option<&str>| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]), None)
    };
    let text = plan.calls.is_empty();
    let content = if text { json!("") } else { Value::Null };
    let mut list = vec![(false, delta(json!({"role": "assistant", "content": content}), None))];
    if text {
        list.extend(plan.words().into_iter().map(|word| (true, delta(json!({ "content": word }), None))));
    }
    for (index, (name, arguments)) in plan.calls.iter().enumerate() {
        let function = json!({"name": name, "arguments": ""});
        let call =
            json!({"index": index, "id": call_id(id, index), "type": "function", "function": function});
        list.push((false, delta(json!({ "tool_calls": [call] }), None)));
        for part in split(&arguments.to_string(), plan.argument_pieces) {
            let call = json!({"index": index, "function": {"arguments": part}});
            list.push((true, delta(json!({ "tool_calls": [call] }), None)));
        }
    }
    list.push((false, delta(json!({}), Some(if text { "stop" } else { "tool_calls" }))));
    if request.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true) {
        list.push((false, chunk(json!([]), Some(usage(pieces)))));
    }
    list.push((false, "[DONE]".to_owned()));
    list
}

fn whole(request: &Value, plan: &Plan, id: u64, pieces: usize) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let (key, value, finish) = if plan.calls.is_empty() {
        ("content", json!(plan.words().concat()), "stop")
    } else {
        let call = |(index, (name, arguments)): (usize, &(&str, Value))| {
            let function = json!({"name": name, "arguments": arguments.to_string()});
            json!({"id": call_id(id, index), "type": "function", "function": function})
        };
        let calls: Vec<Value> = plan.calls.iter().enumerate().map(call).collect();
        ("tool_calls", json!(calls), "tool_calls")
    };
    if let Some(members) = message.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
    let choices = json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}]);
    let mut answer = envelope(request, id, "chat.completion", choices);
    if let Some(members) = answer.as_object_mut() {
        members.insert("usage".to_owned(), usage(pieces));
    }
    answer
}

fn envelope(request: &Value, id: u64, object: &str, choices: Value) -> Value {
    let model = request.get("model").cloned().unwrap_or_else(|| json!("fake"));
    json!({"id": format!("chatcmpl-{id:08x}"), "object": object, "created": 1_700_000_000, "model": model,
           "system_fingerprint": "fp_fake", "choices": choices})
}

fn usage(pieces: usize) -> Value {
    json!({"prompt_tokens": 100, "completion_tokens": pieces, "total_tokens": 100 + pieces})
}

fn call_id(id: u64, index: usize) -> String {
    format!("call_{id:08x}_{index}")
}

/// `text` in at most `parts` pieces of whole characters.
fn split(text: &str, parts: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(letters.len().div_ceil(parts.max(1)).max(1)).map(|piece| piece.iter().collect()).collect()
}

/// Path and body of the next request; `None` when the client is done.
async fn read_request(client: &mut BufReader<TcpStream>) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    let mut first = String::new();
    if client.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let path = first.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        let Some((name, value)) = line.split_once(':') else { break };
        match name {
            "content-length" => length = value.trim().parse()?,
            "transfer-encoding" => chunked = value.contains("chunked"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    while chunked {
        let mut size = String::new();
        client.read_line(&mut size).await?;
        let size = usize::from_str_radix(size.trim(), 16)?;
        let mut piece = vec![0; size + 2];
        client.read_exact(&mut piece).await?;
        body.extend(piece.iter().take(size));
        chunked = size > 0;
    }
    body.resize(body.len() + length, 0);
    if length > 0 {
        client.read_exact(&mut body).await?;
    }
    Ok(Some((path, body)))
}

async fn respond(stream: &mut TcpStream, status: u16, header: &str, body: &Value) -> anyhow::Result<()> {
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n{header}");
    let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    Ok(stream.write_all(text.as_bytes()).await?)
}
