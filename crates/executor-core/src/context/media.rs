//! Pictures and other inline data: kept as files when their messages are summarised, taken out when a provider
//! refuses them.

use std::sync::Arc;

use agent_langgraph_codec::{Content, Encoding, FileData, Kind, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{HISTORY, with_content};
use crate::tools::record;

/// Kinds of blocks that are no text.
const MEDIA: &[&str] = &["image", "audio", "video", "file"];
const UNSUPPORTED: &str =
    "Unsupported content. The file may be invalid, too large, or of an unsupported mime-type.";
const LOST: &str = "<image error=\"failed_to_offload\" />";

/// The messages with references in place of inline data, and the files that the references name.
pub(crate) fn move_inline(
    messages: &[Arc<Message>],
    now: &str,
) -> (Vec<Arc<Message>>, IndexMap<String, FileData>) {
    let mut files = IndexMap::new();
    let mut moved = Vec::with_capacity(messages.len());
    for message in messages {
        let Content::Blocks(blocks) = &message.content else {
            moved.push(message.clone());
            continue;
        };
        if !blocks.iter().any(|block| inline(block).is_some()) {
            moved.push(message.clone());
            continue;
        }
        let replaced = blocks.iter().map(|block| match inline(block) {
            Some(data) => {
                keep(&data, now, &mut files).unwrap_or_else(|| json!({"type": "text", "text": LOST}))
            }
            None => block.clone(),
        });
        moved.push(with_content(message, Content::Blocks(replaced.collect())));
    }
    (moved, files)
}

/// Replaces what was read since the last answer and is no text. `None`: there is nothing of that kind.
pub(crate) fn without_rejected(messages: &[Arc<Message>]) -> Option<Vec<Arc<Message>>> {
    let last = messages.iter().rposition(|message| matches!(message.kind, Kind::Ai { .. }));
    let from = last.map_or(0, |last| last + 1);
    let rejected = |message: &Message| {
        matches!(message.kind, Kind::Tool { .. })
            && message.name.as_deref() == Some("read_file")
            && matches!(&message.content, Content::Blocks(blocks) if blocks.iter().any(is_media))
    };
    if !messages.iter().skip(from).any(|message| rejected(message)) {
        return None;
    }
    let replaced = messages.iter().enumerate().map(|(place, message)| {
        if place < from || !rejected(message) {
            return message.clone();
        }
        with_content(message, Content::Text(UNSUPPORTED.to_owned()))
    });
    Some(replaced.collect())
}

fn is_media(block: &Value) -> bool {
    block.get("type").and_then(Value::as_str).is_some_and(|kind| MEDIA.contains(&kind))
}

/// Inline data of a block, in any of the forms that threads hold.
struct Inline<'a> {
    mime: &'a str,
    payload: &'a str,
    base64: bool,
}

fn inline(block: &Value) -> Option<Inline<'_>> {
    let map = block.as_object()?;
    // A text may hold anything; what looks like data there is none.
    if map.get("type").and_then(Value::as_str) == Some("text") {
        return None;
    }
    plain(map).or_else(|| {
        ["source", "image_url", "file"].iter().find_map(|key| match map.get(*key)? {
            Value::Object(inner) => plain(inner),
            Value::String(url) => from_url(url),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        })
    })
}

fn plain(map: &Map<String, Value>) -> Option<Inline<'_>> {
    let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(payload) = text("base64").or_else(|| text("data")) {
        let mime = text("mime_type").or_else(|| text("media_type")).unwrap_or("application/octet-stream");
        return Some(Inline { mime, payload, base64: true });
    }
    ["url", "file_data"].iter().find_map(|key| from_url(text(key)?))
}

fn from_url(url: &str) -> Option<Inline<'_>> {
    let (head, payload) = url.strip_prefix("data:")?.split_once(',')?;
    let mut words = head.split(';');
    let mime = words.next().filter(|mime| !mime.is_empty()).unwrap_or("text/plain");
    Some(Inline { mime, payload, base64: words.any(|word| word.eq_ignore_ascii_case("base64")) })
}

/// Puts the data into a file named by its hash; the block that refers to it.
fn keep(data: &Inline<'_>, now: &str, files: &mut IndexMap<String, FileData>) -> Option<Value> {
    let bytes = if data.base64 { STANDARD.decode(data.payload).ok()? } else { unquote(data.payload) };
    let hash: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let path = format!("{HISTORY}/media/{hash}.{}", ending(data.mime));
    let (text, encoding) = match String::from_utf8(bytes) {
        Ok(text) => (text, Encoding::Utf8),
        Err(binary) => (STANDARD.encode(binary.as_bytes()), Encoding::Base64),
    };
    files.entry(path.clone()).or_insert_with(|| record(text, Some(encoding), None, now));
    Some(match data.mime.split('/').next() {
        Some(kind @ ("image" | "audio" | "video")) => json!({"type": kind, "url": path}),
        Some(_) | None => json!({"type": "text", "text": format!("<file url=\"{path}\" />")}),
    })
}

/// `%41` and the like; anything else as it is.
fn unquote(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// The ending that Python's `mimetypes` gives.
fn ending(mime: &str) -> &'static str {
    match mime {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/svg+xml" => "svg",
        "image/heic" => "heic",
        "image/bmp" => "bmp",
        "image/tiff" => "tiff",
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wav" => "wav",
        "video/mp4" => "mp4",
        "video/webm" => "webm",
        "video/quicktime" => "mov",
        "application/pdf" => "pdf",
        "application/json" => "json",
        "application/zip" => "zip",
        "text/plain" => "txt",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/markdown" => "md",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use agent_langgraph_codec::ToolStatus;

    use super::*;

    #[test]
    fn inline_data_becomes_a_file_and_a_reference_once() {
        let png = json!({"type": "image", "base64": "iVBORw==", "mime_type": "image/png"});
        let same = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}});
        let svg = json!({"type": "image", "url": "data:image/svg+xml,%3Csvg/%3E"});
        let broken = json!({"type": "image", "base64": "!", "mime_type": "image/png"});
        let far = json!({"type": "image", "url": "https://x/y.png"});
        let pdf = json!({"type": "file", "base64": "/w==", "mime_type": "application/pdf"});
        let blocks = vec![png, same, svg, broken, far.clone(), pdf];
        let message = Arc::new(Message::new(Kind::Human, Content::Blocks(blocks), None));
        let plain = Arc::new(Message::human("data:image/png;base64,QQ==", "h"));
        let (moved, files) = move_inline(&[message, plain.clone()], "T");
        assert!(Arc::ptr_eq(&moved[1], &plain));
        let Content::Blocks(blocks) = &moved[0].content else { panic!() };
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(blocks[0], json!({"type": "image", "url": paths[0]}));
        assert_eq!(blocks[1], blocks[0]);
        assert_eq!(blocks[2], json!({"type": "image", "url": paths[1]}));
        assert_eq!(blocks[3]["text"], LOST);
        assert_eq!(blocks[4], far);
        assert_eq!(blocks[5]["text"], format!("<file url=\"{}\" />", paths[2]));
        // sha256 of the bytes 89 50 4e 47.
        assert_eq!(paths[0], "/conversation_history/media/0f4636c78f65d363.png");
        assert_eq!(files[0].encoding, Some(Encoding::Base64));
        assert_eq!((files[1].text().as_ref(), files[1].encoding), ("<svg/>", Some(Encoding::Utf8)));
    }

    #[test]
    fn only_what_was_read_since_the_last_answer_is_taken_out() {
        let read = |id: &str| {
            let content = Content::Blocks(vec![json!({"type": "image", "base64": "QQ=="})]);
            Arc::new(Message::tool(content, "read_file", id, ToolStatus::Success, id))
        };
        let ai = Arc::new(Message::ai(Content::Text(String::new()), Vec::new(), None));
        let messages = [read("a"), ai.clone(), read("b")];
        let replaced = without_rejected(&messages).unwrap();
        assert!(Arc::ptr_eq(&replaced[0], &messages[0]));
        assert_eq!(replaced[2].content, Content::Text(UNSUPPORTED.to_owned()));
        assert_eq!(replaced[2].id.as_deref(), Some("b"));
        assert_eq!(without_rejected(&messages[..2]), None);
    }
}
