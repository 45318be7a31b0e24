//! The channel to the worker: length-framed requests on stdin, reports on stdout.

use std::io::{self, Read, Write};

use serde::Serialize;

/// Longest request that is read: files and messages of a thread. The worker checks its own limits before.
const MAX_REQUEST: usize = 256 << 20;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The interpreter is started and confined.
    Ready,
    /// The sandbox cannot be had.
    Refused,
    /// The script's side answered; the reply follows.
    Reply,
    Wall,
    Cpu,
    Memory,
    Processes,
    Folder,
    Result,
    /// The process ended without an answer.
    Died,
}

/// What the worker is told, before the reply's bytes.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    pub(crate) detail: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) forks_refused: u64,
}

impl Report {
    pub(crate) fn new(outcome: Outcome, detail: String) -> Self {
        Self { outcome, detail, stdout: String::new(), stderr: String::new(), forks_refused: 0 }
    }
}

/// One request; `None` where the worker has closed the channel.
pub(crate) struct Request {
    /// Whether this is the last one, after which everything is ended.
    pub(crate) last: bool,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn read_request() -> io::Result<Option<Request>> {
    let mut input = io::stdin().lock();
    let mut head = [0; 5];
    match input.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let [a, b, c, d, last] = head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MAX_REQUEST {
        return Err(io::Error::other("the request is too long"));
    }
    let mut payload = vec![0; length];
    input.read_exact(&mut payload)?;
    Ok(Some(Request { last: last == b'E', payload }))
}

pub(crate) fn write_report(report: &Report, reply: &[u8]) -> io::Result<()> {
    let head = serde_json::to_vec(report)?;
    let lengths =
        [head.len(), reply.len()].map(|length| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    let mut output = io::stdout().lock();
    output.write_all(lengths.as_flattened())?;
    output.write_all(&head)?;
    output.write_all(reply)?;
    output.flush()
}

/// Says why nothing was started. There is nobody left to tell where this fails, too.
pub(crate) fn complain(problem: &str) {
    let told = write_report(&Report::new(Outcome::Refused, problem.to_owned()), &[]);
    drop(told);
}
