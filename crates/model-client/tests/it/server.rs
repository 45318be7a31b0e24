//! A server that does exactly what it is told, byte by byte, one script per request.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use agent_executor_core::{ModelOptions, ModelRef, ModelRequest};
use agent_langgraph_codec::Message;
use agent_model_client::{HttpClient, HttpConfig, OpenAiApi};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

pub(crate) const KEY: &str = "sk-very-secret-key-0123456789";

/// What the server does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// These bytes, as they are.
    Raw(Vec<u8>),
    /// These bytes as one chunk of a chunked body.
    Chunk(Vec<u8>),
    /// The end of a chunked body.
    End,
    /// The connection closes.
    Close,
    /// Nothing more, until the client goes away.
    Hang,
}

pub(crate) type Script = Vec<Step>;

/// The head of a streamed answer.
pub(crate) fn stream_head() -> Step {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_1\r\n\
        transfer-encoding: chunked\r\n\r\n";
    Step::Raw(head.into())
}

/// A whole streamed answer.
pub(crate) fn stream(text: &str) -> Script {
    vec![stream_head(), Step::Chunk(text.into()), Step::End]
}

/// A whole answer that is no stream.
pub(crate) fn plain(status: u16, headers: &str, body: &str) -> Script {
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    vec![Step::Raw(head.into())]
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    /// Lower-case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<u32>,
    /// A hanging answer lost its client.
    left: Notify,
}

pub(crate) struct Server {
    address: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared { scripts: Mutex::new(scripts.into()), ..Shared::default() });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                *serving.connections.lock().unwrap() += 1;
                tokio::spawn(serve(socket, serving.clone()));
            }
        });
        Self { address, shared, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> u32 {
        *self.shared.connections.lock().unwrap()
    }

    /// Waits until the client of a hanging answer has closed its connection.
    pub(crate) async fn client_left(&self) {
        tokio::time::timeout(Duration::from_secs(20), self.shared.left.notified())
            .await
            .expect("the client closes its connection");
    }

    /// A client whose every provider is this server. Retries without waiting.
    pub(crate) fn client(&self, change: impl FnOnce(&mut HttpConfig)) -> HttpClient {
        let mut config = config();
        for (name, base) in [("openai", "/v1"), ("ollama", "/v1"), ("anthropic", "")] {
            let provider = config.provider_mut(name).unwrap();
            provider.base_url = format!("http://{}{base}", self.address);
            provider.api_key = Some(SecretString::from(KEY));
        }
        change(&mut config);
        HttpClient::new(config).unwrap()
    }
}

/// The defaults, impatient.
pub(crate) fn config() -> HttpConfig {
    static TLS: Once = Once::new();
    TLS.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
    let mut config = HttpConfig::default();
    config.retry.base_delay = Duration::from_millis(1);
    config
}

pub(crate) fn responses(config: &mut HttpConfig) {
    config.provider_mut("openai").unwrap().api = OpenAiApi::Responses;
}

pub(crate) fn request(provider: &str, model: &str, messages: Vec<Message>) -> ModelRequest {
    ModelRequest {
        model: ModelRef { provider: provider.to_owned(), model: model.to_owned() },
        system: Some("S".to_owned()),
        messages: messages.into_iter().map(Arc::new).collect(),
        tools: Vec::new().into(),
        max_output_tokens: None,
        response_format: None,
        options: ModelOptions::default(),
    }
}

pub(crate) fn hello(provider: &str) -> ModelRequest {
    request(provider, "m", vec![Message::human("hello", "h")])
}

async fn serve(mut socket: TcpStream, shared: Arc<Shared>) {
    socket.set_nodelay(true).unwrap();
    let mut read = Vec::new();
    while let Some(seen) = read_request(&mut socket, &mut read).await {
        shared.seen.lock().unwrap().push(seen);
        let script = shared.scripts.lock().unwrap().pop_front();
        for step in script.unwrap_or_else(|| plain(404, "", "no script left")) {
            let sent = match step {
                Step::Raw(bytes) => socket.write_all(&bytes).await,
                Step::Chunk(bytes) => {
                    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
                    chunk.extend_from_slice(&bytes);
                    chunk.extend_from_slice(b"\r\n");
                    socket.write_all(&chunk).await
                }
                Step::End => socket.write_all(b"0\r\n\r\n").await,
                Step::Close => return,
                Step::Hang => {
                    let mut rest = [0; 64];
                    while matches!(socket.read(&mut rest).await, Ok(1..)) {}
                    shared.left.notify_one();
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

async fn read_request(socket: &mut TcpStream, read: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(read[..head_end].to_vec()).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(key, _)| key == "content-length").map_or("0", |(_, value)| value);
    let end = head_end + length.parse::<usize>().unwrap();
    while read.len() < end {
        if socket.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&read[head_end..end]).unwrap();
    read.drain(..end);
    Some(Seen { path, headers, body })
}
