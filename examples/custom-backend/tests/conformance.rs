//! The port's own suite, run by a stranger.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use agent_stream_sink::conformance::{Harness, Watch};
use async_trait::async_trait;
use bytes::Bytes;
use file_sink::FileSink;
use tempfile::TempDir;

fn gap(thread: &str, from: u64, to: u64) -> Bytes {
    let data = format!(r#"{{"thread":"{thread}","from_seq":{from},"to_seq":{to}}}"#);
    Bytes::from(format!(r#"{{"event_type":"gap","data":{data}}}"#))
}

struct Files {
    sink: FileSink,
    folder: TempDir,
}

#[async_trait]
impl Harness for Files {
    type Sink = FileSink;

    fn sink(&self) -> &FileSink {
        &self.sink
    }

    async fn watch(&self, thread: &str) -> Box<dyn Watch> {
        let path = FileSink::path(self.folder.path(), thread);
        let read = std::fs::metadata(&path).map_or(0, |file| file.len());
        Box::new(Tail { path, read })
    }
}

/// Follows a file from where it was when the watch began.
struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    fn frame(&self) -> std::io::Result<Bytes> {
        let mut file = std::fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut length = [0; 4];
        file.read_exact(&mut length)?;
        let mut payload = vec![0; u32::from_le_bytes(length) as usize];
        file.read_exact(&mut payload)?;
        Ok(Bytes::from(payload))
    }
}

#[async_trait]
impl Watch for Tail {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Ok(payload) = self.frame() {
                self.read += 4 + payload.len() as u64;
                return Some(payload);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn files() -> Option<Files> {
    let folder = tempfile::tempdir().unwrap();
    Some(Files { sink: FileSink::new(folder.path(), gap).unwrap(), folder })
}

agent_stream_sink::sink_conformance!(files());
