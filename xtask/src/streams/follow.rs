//! Clients that follow one thread each and note how long its tokens took.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::stack;

/// What a follower heard.
#[derive(Default)]
pub(super) struct Followed {
    /// Tokens in all.
    pub(super) tokens: usize,
    /// Microseconds from the model to here, of those that were sent while this follower listened.
    pub(super) took: Vec<u64>,
}

impl Followed {
    /// The text of an event holds the moments at which its tokens were sent.
    fn take(&mut self, text: &str, listening_since: u64) {
        let now = now();
        for sent in text.split_whitespace().filter_map(|word| word.parse::<u64>().ok()) {
            self.tokens += 1;
            if sent >= listening_since {
                self.took.push(now.saturating_sub(sent));
            }
        }
    }
}

/// Microseconds since 1970, as the model writes them.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A WebSocket of the worker.
pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(super) async fn open(thread: &str) -> anyhow::Result<Self> {
        let url = format!("ws://{}/stream/{thread}", stack::address(stack::WORKER));
        let (socket, _) = tokio_tungstenite::connect_async(url).await.context("open a WebSocket")?;
        Ok(Self(socket))
    }

    /// The next text; `None` once the other side has closed.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        while let Some(message) = self.0.next().await {
            match message? {
                Message::Text(text) => return Ok(Some(text.as_str().to_owned())),
                Message::Close(_) => return Ok(None),
                // A ping is answered by reading it.
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }
}

/// Everything that comes over a socket that was opened before its job was published.
pub(super) async fn over_socket(mut socket: Socket) -> anyhow::Result<Followed> {
    let mut followed = Followed::default();
    while let Some(frame) = socket.next().await? {
        let event: Value = serde_json::from_str(&frame)?;
        if event.get("event_type").and_then(Value::as_str) == Some("on_llm_stream") {
            let text = event.pointer("/data/content").and_then(Value::as_str);
            followed.take(text.unwrap_or_default(), 0);
        }
    }
    Ok(followed)
}

/// Everything that comes as Server-Sent Events, from the moment at which the worker knows the thread.
pub(super) async fn over_events(thread: String) -> anyhow::Result<Followed> {
    let (mut followed, mut kind) = (Followed::default(), String::new());
    let mut lines = loop {
        if let Some(lines) = open_events(&thread).await? {
            break lines;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let since = now();
    while let Some(line) = lines.next_line().await? {
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut kind);
        } else if let Some(data) = line.strip_prefix("data: ").filter(|_| kind == "on_llm_stream") {
            let data: Value = serde_json::from_str(data)?;
            followed.take(data.get("content").and_then(Value::as_str).unwrap_or_default(), since);
        }
    }
    Ok(followed)
}

/// `None`: the worker does not know the thread yet. HTTP/1.0, so that the answer comes without chunk sizes.
async fn open_events(thread: &str) -> anyhow::Result<Option<Lines<BufReader<TcpStream>>>> {
    let mut socket = TcpStream::connect(stack::address(stack::WORKER)).await?;
    let head = format!("GET /threads/{thread}/events HTTP/1.0\r\nhost: bench\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    let mut lines = BufReader::new(socket).lines();
    let status = lines.next_line().await?.context("the worker closed the connection")?;
    match status.split(' ').nth(1) {
        Some("404") => return Ok(None),
        Some("200") => {}
        Some(_) | None => bail!("GET /threads/{thread}/events: {status}"),
    }
    while !lines.next_line().await?.context("the head has no end")?.is_empty() {}
    Ok(Some(lines))
}
