//! Typed values to the bytes that LangGraph's serializer would write for them (row type `msgpack`).

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::file::{Encoding, FileContent, FileData, Files};
use crate::message::{Message, ToolCall};
use crate::pack::Packer;

mod message;

use message::pack_message;

/// The module of Send, Interrupt, Overwrite.
const TYPES: &str = "langgraph.types";
/// Extension: `class(*args)`.
const EXT_ARGS: u8 = 1;
/// Extension: `class(**kwargs)`.
const EXT_KWARGS: u8 = 2;
/// Extension: a delta channel's full value.
const EXT_SNAPSHOT: u8 = 7;

fn packed(capacity: usize, body: impl FnOnce(&mut Packer)) -> Bytes {
    let mut packer = Packer::with_capacity(capacity);
    body(&mut packer);
    Bytes::from(packer.into_vec())
}

/// Room for the messages, so that the buffer rarely grows: texts and some 300 bytes of field names each.
fn room(messages: &[Arc<Message>]) -> usize {
    messages.iter().map(|message| message.content.len_hint() + 320).sum()
}

/// Value of a `messages` write, or of a sub-agent's `messages` blob: a list.
pub fn encode_messages(messages: &[Arc<Message>]) -> Bytes {
    packed(room(messages), |out| pack_messages(out, messages))
}

/// Full value of the delta channel `messages`.
pub fn encode_messages_snapshot(messages: &[Arc<Message>]) -> Bytes {
    packed(room(messages), |out| out.ext(EXT_SNAPSHOT, |out| pack_messages(out, messages)))
}

/// One message on its own, as it stands inside other values.
pub fn encode_message(message: &Message) -> Bytes {
    packed(message.content.len_hint() + 320, |out| pack_message(out, message))
}

fn pack_messages(out: &mut Packer, messages: &[Arc<Message>]) {
    out.array(messages.len());
    messages.iter().for_each(|message| pack_message(out, message));
}

/// Value of a `files` write: `None` deletes the path.
pub fn encode_files_write(changes: &[(String, Option<Arc<FileData>>)]) -> Bytes {
    packed(256 * changes.len() + 1, |out| {
        out.map(changes.len());
        for (path, file) in changes {
            out.str(path);
            match file {
                Some(file) => pack_file(out, file),
                None => out.nil(),
            }
        }
    })
}

/// All files as a plain map.
pub fn encode_files_map(files: &Files) -> Bytes {
    packed(256 * files.len() + 1, |out| pack_files(out, files))
}

/// Full value of the delta channel `files`.
pub fn encode_files_snapshot(files: &Files) -> Bytes {
    packed(256 * files.len() + 8, |out| out.ext(EXT_SNAPSHOT, |out| pack_files(out, files)))
}

fn pack_files(out: &mut Packer, files: &Files) {
    out.map(files.len());
    for (path, file) in files {
        out.str(path);
        pack_file(out, file);
    }
}

fn pack_file(out: &mut Packer, file: &FileData) {
    let known = [file.encoding.is_some(), file.created_at.is_some(), file.modified_at.is_some()];
    out.map(1 + known.into_iter().filter(|present| *present).count() + file.extra.len());
    out.str("content");
    match &file.content {
        FileContent::Text(text) => out.str(text),
        FileContent::Lines(lines) => {
            out.array(lines.len());
            lines.iter().for_each(|line| out.str(line));
        }
    }
    let encoding = file.encoding.map(|encoding| match encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Base64 => "base64",
    });
    let texts = [
        ("encoding", encoding),
        ("created_at", file.created_at.as_deref()),
        ("modified_at", file.modified_at.as_deref()),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            out.str(key);
            out.str(text);
        }
    }
    for (key, value) in &file.extra {
        out.str(key);
        out.json(value);
    }
}

/// Any plain value. `1` stays an integer and `1.0` a float.
pub fn encode_json(value: &Value) -> Bytes {
    packed(64, |out| out.json(value))
}

/// A map whose values are packed already, for values that mix plain data and messages
/// (`_summarization_event`).
pub fn encode_map(entries: &[(&str, Bytes)]) -> Bytes {
    packed(entries.iter().map(|(key, value)| key.len() + value.len() + 5).sum::<usize>() + 5, |out| {
        out.map(entries.len());
        for (key, value) in entries {
            out.str(key);
            out.raw(value);
        }
    })
}

/// Value of one `__pregel_tasks` write: run `node` on this call.
pub fn encode_send(node: &str, call: &ToolCall) -> Bytes {
    packed(256, |out| pack_send(out, node, call))
}

/// Value of the channel `__pregel_tasks` after a step that sent these calls.
pub fn encode_sends(node: &str, calls: &[ToolCall]) -> Bytes {
    packed(256 * calls.len() + 1, |out| {
        out.array(calls.len());
        calls.iter().for_each(|call| pack_send(out, node, call));
    })
}

fn pack_send(out: &mut Packer, node: &str, call: &ToolCall) {
    pack_object(out, EXT_ARGS, "Send", |out| {
        out.array(2);
        out.str(node);
        out.array(1);
        message::pack_call(out, call);
    });
}

/// An extension that names a class of `langgraph.types` and what it is built from.
fn pack_object(out: &mut Packer, code: u8, class: &str, argument: impl FnOnce(&mut Packer)) {
    out.ext(code, |out| {
        out.array(3);
        out.str(TYPES);
        out.str(class);
        argument(out);
    });
}

/// Value of `__start__` at the root: the input as the caller gave it.
pub fn encode_start(input: &Map<String, Value>) -> Bytes {
    packed(256, |out| out.json_map(input))
}

/// Value of a sub-agent's `__start__`: the parent's files, further packed state, the task's messages.
pub fn encode_start_state(
    files: Option<&Files>,
    messages: &[Arc<Message>],
    extra: &[(String, Bytes)],
) -> Bytes {
    packed(room(messages) + 256, |out| {
        out.map(usize::from(files.is_some()) + 1 + extra.len());
        if let Some(files) = files {
            out.str("files");
            pack_files(out, files);
        }
        for (channel, value) in extra {
            out.str(channel);
            out.raw(value);
        }
        out.str("messages");
        pack_messages(out, messages);
    })
}

/// Value of an `__interrupt__` write: what the task asks, under the ids of [`crate::interrupt_id`].
pub fn encode_interrupts(interrupts: &[crate::Interrupt]) -> Bytes {
    packed(256, |out| {
        out.array(interrupts.len());
        for interrupt in interrupts {
            pack_object(out, EXT_KWARGS, "Interrupt", |out| {
                out.map(3);
                out.str("value");
                out.json(&interrupt.value);
                out.str("id");
                out.str(&interrupt.id);
                out.str("response_schema");
                out.json(&interrupt.response_schema);
            });
        }
    })
}

/// A write that replaces a channel's value instead of being folded into it.
pub fn encode_overwrite(value: &Bytes) -> Bytes {
    packed(value.len() + 64, |out| {
        pack_object(out, EXT_KWARGS, "Overwrite", |out| {
            out.map(2);
            out.str("value");
            out.raw(value);
            out.str("type");
            out.str("__overwrite__");
        });
    })
}

/// `[]`: the channel `__pregel_tasks` once its Sends are consumed.
pub fn empty_list() -> Bytes {
    Bytes::from_static(&[0x90])
}
