//! What stored content says, whoever wrote it: LangChain's blocks and those of each provider, read into one form.

use agent_executor_core::{ModelRef, profiles::ModelProfile};
use agent_langgraph_codec::{Content, Message};
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
    /// What this model does not take.
    Left(Left<'a>),
}

/// A block that is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left<'a> {
    kind: &'a str,
    mime: Option<&'a str>,
    path: Option<&'a str>,
}

impl std::fmt::Display for Left<'_> {
    /// What the model reads in its place; the words are those of `deepagents`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, mime) = (self.path.unwrap_or("the requested file"), self.mime.unwrap_or("unknown"));
        let kind = self.kind;
        write!(
            f,
            "[read_file: {path} was not attached because this model does not support {kind} content ({mime}).]"
        )
    }
}

/// What a model takes beside text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takes {
    images: bool,
    documents: bool,
    /// Whether this interface takes inline files of this type that are no PDF.
    other: fn(&str) -> bool,
}

impl Takes {
    /// By the model's profile; an unknown model takes everything.
    pub(crate) fn of(model: &ModelRef, other: fn(&str) -> bool) -> Self {
        let profile = ModelProfile::find(&model.provider, &model.model);
        Self {
            images: profile.is_none_or(|profile| profile.images),
            documents: profile.is_none_or(|profile| profile.documents),
            other,
        }
    }

    fn takes(self, block: Block<'_>) -> bool {
        match block {
            Block::Text(_) => true,
            Block::Image(_) => self.images,
            Block::File { media: Media::Url(_), .. } => true,
            Block::File { media: Media::Inline { mime: "application/pdf", .. }, .. } => self.documents,
            Block::File { media: Media::Inline { mime, .. }, .. } => (self.other)(mime),
            Block::Left(_) => false,
        }
    }
}

/// The blocks of a message; a string is one text block. Calls and reasoning are not content here.
pub(crate) fn blocks(message: &Message, takes: Takes) -> Vec<Block<'_>> {
    let path = text(&message.additional_kwargs, "read_file_path");
    let sendable = |value| {
        let block = block(value)?;
        Some(if takes.takes(block) { block } else { Block::Left(left(block, path)) })
    };
    match &message.content {
        Content::Text(text) => vec![Block::Text(text)],
        Content::Blocks(blocks) => blocks.iter().filter_map(sendable).collect(),
    }
}

fn left<'a>(block: Block<'a>, path: Option<&'a str>) -> Left<'a> {
    let mime = |media| match media {
        Media::Url(_) => None,
        Media::Inline { mime, .. } => Some(mime),
    };
    match block {
        Block::Text(_) => Left { kind: "text", mime: None, path },
        Block::Image(media) => Left { kind: "image", mime: mime(media), path },
        Block::File { media, .. } => Left { kind: "file", mime: mime(media), path },
        Block::Left(left) => Left { path, ..left },
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
                Some(Block::Image(_) | Block::File { .. } | Block::Left(_)) | None => None,
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
        "image" | "image_url" | "input_image" => Some(media(map).map_or(unknown(map, kind), Block::Image)),
        "file" | "document" | "input_file" => {
            let file = |media| Block::File { media, name: file_name(map) };
            Some(media(map).map_or(unknown(map, kind), file))
        }
        // Calls are taken from the parsed calls, reasoning only by the provider that wrote it.
        "tool_use" | "function_call" | "tool_call" | "server_tool_use" | "thinking" | "redacted_thinking"
        | "reasoning" | "refusal" => None,
        other => Some(unknown(map, other)),
    }
}

fn unknown<'a>(map: &'a Map<String, Value>, kind: &'a str) -> Block<'a> {
    Block::Left(Left { kind, mime: text(map, "mime_type"), path: None })
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
    fn what_a_model_does_not_take_is_named() {
        let content = Content::Blocks(vec![
            json!({"type": "audio", "base64": "QQ==", "mime_type": "audio/mpeg"}),
            json!({"type": "image", "base64": "QQ==", "mime_type": "image/png"}),
            json!({"type": "file", "base64": "QQ==", "mime_type": "application/pdf"}),
            json!({"type": "file", "base64": "QQ==", "mime_type": "application/zip"}),
            json!({"type": "file", "url": "https://x/y.zip"}),
            json!(5),
        ]);
        let mut message = Message::new(agent_langgraph_codec::Kind::Human, content, None);
        message.additional_kwargs.insert("read_file_path".to_owned(), json!("/a"));
        let left = |model: &str| -> Vec<String> {
            let model = ModelRef { provider: "openai".to_owned(), model: model.to_owned() };
            let blocks = blocks(&message, Takes::of(&model, |_| false));
            assert_eq!(blocks.len(), 5);
            blocks
                .iter()
                .filter_map(|block| match block {
                    Block::Left(left) => Some(left.to_string()),
                    Block::Text(_) | Block::Image(_) | Block::File { .. } => None,
                })
                .collect()
        };
        let sentence = |kind: &str, mime: &str| {
            format!(
                "[read_file: /a was not attached because this model does not support {kind} content ({mime}).]"
            )
        };
        let (sound, zip) = (sentence("audio", "audio/mpeg"), sentence("file", "application/zip"));
        assert_eq!(left("unheard-of"), [sound.clone(), zip.clone()]);
        assert_eq!(left("o3-mini"), [sound.clone(), sentence("image", "image/png"), zip.clone()]);
        assert_eq!(
            left("gpt-3.5-turbo"),
            [sound, sentence("image", "image/png"), sentence("file", "application/pdf"), zip]
        );
    }
}
