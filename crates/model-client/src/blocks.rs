//! What stored content says, whoever wrote it: LangChain's blocks and those of each provider, read into one form.

use agent_langgraph_codec::Content;
use serde_json::{Map, Value};

/// A picture or document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media<'a> {
    Url(&'a str),
    Inline { mime: &'a str, base64: &'a str },
}

/// One block of a user's or a tool's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block<'a> {
    Text(&'a str),
    Image(Media<'a>),
    File {
        media: Media<'a>,
        name: Option<&'a str>,
    },
    /// A kind that no provider here takes; its type name.
    Unknown(&'a str),
}

impl Block<'_> {
    /// What a model reads in place of a block that cannot be sent to it.
    pub(crate) fn substitute(kind: &str) -> String {
        format!("[{kind} content was left out: this model does not take it]")
    }
}

/// The blocks of a message; a string is one text block. Calls and reasoning are not content here.
pub(crate) fn blocks(content: &Content) -> Vec<Block<'_>> {
    match content {
        Content::Text(text) => vec![Block::Text(text)],
        Content::Blocks(blocks) => blocks.iter().filter_map(block).collect(),
    }
}

/// A picture's or file's URL; inline data as a `data:` URL.
pub(crate) fn url(media: Media<'_>) -> String {
    match media {
        Media::Url(url) => url.to_owned(),
        Media::Inline { mime, base64 } => format!("data:{mime};base64,{base64}"),
    }
}

/// All text of an assistant's message. Providers cut one text into several blocks, so nothing goes between them.
pub(crate) fn assistant_text(content: &Content) -> std::borrow::Cow<'_, str> {
    match content {
        Content::Text(text) => text.into(),
        Content::Blocks(blocks) => {
            let mut texts = blocks.iter().filter_map(|value| match block(value) {
                Some(Block::Text(text)) => Some(text),
                Some(Block::Image(_) | Block::File { .. } | Block::Unknown(_)) | None => None,
            });
            let first = texts.next().unwrap_or_default();
            texts.next().map_or(first.into(), |second| {
                let mut all = first.to_owned() + second;
                all.extend(texts);
                all.into()
            })
        }
    }
}

/// The blocks that are objects, as stored.
pub(crate) fn objects(content: &Content) -> impl Iterator<Item = &Map<String, Value>> {
    let blocks = match content {
        Content::Text(_) => &[],
        Content::Blocks(blocks) => blocks.as_slice(),
    };
    blocks.iter().filter_map(Value::as_object)
}

/// A string member.
pub(crate) fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str)
}

fn block(value: &Value) -> Option<Block<'_>> {
    let map = match value {
        Value::String(text) => return Some(Block::Text(text)),
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    let kind = text(map, "type").unwrap_or("untyped");
    match kind {
        "text" | "output_text" | "input_text" => text(map, "text").map(Block::Text),
        "image" | "image_url" | "input_image" => Some(media(map).map_or(Block::Unknown(kind), Block::Image)),
        "file" | "document" | "input_file" => {
            Some(media(map).map_or(Block::Unknown(kind), |media| Block::File { media, name: file_name(map) }))
        }
        // Calls are taken from the parsed calls, reasoning only by the provider that wrote it.
        "tool_use" | "function_call" | "tool_call" | "server_tool_use" | "thinking" | "redacted_thinking"
        | "reasoning" | "refusal" => None,
        other => Some(Block::Unknown(other)),
    }
}

/// `base64`/`data` with a MIME type, a `url`, Anthropic's `source`, OpenAI's `image_url` and `file`.
fn media(map: &Map<String, Value>) -> Option<Media<'_>> {
    let mime = text(map, "mime_type").or_else(|| text(map, "media_type"));
    if let Some(base64) = text(map, "base64").or_else(|| text(map, "data")) {
        return Some(Media::Inline { mime: mime.unwrap_or("application/octet-stream"), base64 });
    }
    if let Some(url) = text(map, "url").or_else(|| text(map, "image_url")).or_else(|| text(map, "file_data"))
    {
        return Some(from_url(url));
    }
    ["source", "image_url", "file"].iter().find_map(|key| map.get(*key)?.as_object().and_then(media))
}

fn from_url(url: &str) -> Media<'_> {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    inline.map_or(Media::Url(url), |(mime, base64)| Media::Inline { mime, base64 })
}

fn file_name(map: &Map<String, Value>) -> Option<&str> {
    text(map, "filename")
        .or_else(|| text(map, "name"))
        .or_else(|| map.get("file")?.as_object().and_then(file_name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_picture_is_read_from_every_form_in_which_threads_hold_it() {
        let inline = Block::Image(Media::Inline { mime: "image/png", base64: "QQ==" });
        for value in [
            json!({"type": "image", "base64": "QQ==", "mime_type": "image/png"}),
            json!({"type": "image", "source_type": "base64", "data": "QQ==", "mime_type": "image/png"}),
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}),
            json!({"type": "image_url", "image_url": "data:image/png;base64,QQ=="}),
            json!({"type": "input_image", "image_url": "data:image/png;base64,QQ=="}),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}),
        ] {
            assert_eq!(block(&value), Some(inline), "{value}");
        }
    }

    #[test]
    fn text_of_an_assistant_is_joined_without_its_calls_and_thoughts() {
        let content = Content::Blocks(vec![
            json!({"type": "thinking", "thinking": "hm"}),
            json!({"type": "text", "text": "one "}),
            json!("two "),
            json!({"type": "tool_use", "name": "ls"}),
            json!({"type": "text", "text": "three"}),
        ]);
        assert_eq!(assistant_text(&content), "one two three");
    }

    #[test]
    fn a_kind_that_nobody_takes_is_named() {
        let content = Content::Blocks(vec![json!({"type": "audio", "base64": "QQ=="}), json!(5)]);
        assert_eq!(blocks(&content), [Block::Unknown("audio")]);
    }
}
