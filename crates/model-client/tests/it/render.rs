//! An answer as each API streams it.

use agent_executor_core::StopReason;
use agent_model_client::Answer;
use serde_json::{Value, json};

use crate::server::{Script, Step, stream_head};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Api {
    Chat,
    Responses,
    Messages,
}

/// The events of the answer, one chunk each; broken off where it says so.
pub(crate) fn script(api: Api, answer: &Answer) -> Script {
    let events = match api {
        Api::Chat => chat(answer),
        Api::Responses => responses(answer),
        Api::Messages => messages(answer),
    };
    let mut script = vec![stream_head()];
    // The pieces of a text follow one head event or more.
    let keep = answer.breaks_after.map_or(events.len(), |pieces| pieces + 3);
    let broken = keep < events.len();
    script.extend(events.into_iter().take(keep).map(|event| Step::Chunk(event.into_bytes())));
    script.push(if broken { Step::Close } else { Step::End });
    script
}

fn pieces(text: &str) -> Vec<String> {
    text.chars().collect::<Vec<_>>().chunks(5).map(|piece| piece.iter().collect()).collect()
}

fn event(value: &Value) -> String {
    match value.get("type").and_then(Value::as_str) {
        Some(kind) => format!("event: {kind}\ndata: {value}\n\n"),
        None => format!("data: {value}\n\n"),
    }
}

fn counts(answer: &Answer) -> (u64, u64) {
    answer.usage.map_or((10, 5), |usage| (usage.input_tokens, usage.output_tokens))
}

fn cut(answer: &Answer) -> bool {
    answer.stop == Some(StopReason::Length)
}

fn chat(answer: &Answer) -> Vec<String> {
    let chunk = |delta: Value, finish: Option<&str>| {
        event(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]}))
    };
    let mut out = vec![chunk(json!({"role": "assistant", "content": "", "refusal": null}), None)];
    out.extend(pieces(&answer.thinking).iter().map(|p| chunk(json!({"reasoning_content": p}), None)));
    out.extend(pieces(&answer.text).iter().map(|p| chunk(json!({"content": p}), None)));
    for (index, call) in answer.calls.iter().enumerate() {
        out.push(chunk(
            json!({"tool_calls": [{"index": index, "id": format!("call_{index}"), "type": "function",
                "function": {"name": call.name, "arguments": ""}}]}),
            None,
        ));
        for piece in pieces(&call.arguments) {
            out.push(chunk(
                json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}),
                None,
            ));
        }
    }
    let finish = if cut(answer) {
        "length"
    } else if answer.calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    out.push(chunk(json!({}), Some(finish)));
    let (input, output) = counts(answer);
    out.push(event(&json!({"choices": [], "usage": {"prompt_tokens": input, "completion_tokens": output}})));
    out.push("data: [DONE]\n\n".to_owned());
    out
}

fn responses(answer: &Answer) -> Vec<String> {
    let mut out = vec![
        event(&json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}})),
        event(&json!({"type": "response.in_progress", "delta": {"new": 1}})),
    ];
    let mut index = 0;
    if !answer.thinking.is_empty() {
        for piece in pieces(&answer.thinking) {
            out.push(event(&json!({"type": "response.reasoning_summary_text.delta", "output_index": 0,
                "summary_index": 0, "delta": piece})));
        }
        let item = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": answer.thinking}]});
        out.push(event(&json!({"type": "response.output_item.done", "output_index": 0, "item": item})));
        index += 1;
    }
    if !answer.text.is_empty() {
        for piece in pieces(&answer.text) {
            out.push(event(&json!({"type": "response.output_text.delta", "item_id": "msg_1",
                "output_index": index, "content_index": 0, "delta": piece, "logprobs": []})));
        }
        index += 1;
    }
    for (place, call) in answer.calls.iter().enumerate() {
        let at = index + place;
        let item = |arguments: &str| {
            json!({"type": "function_call", "id": format!("fc_{place}"), "call_id": format!("call_{place}"),
                "name": call.name, "arguments": arguments})
        };
        out.push(event(&json!({"type": "response.output_item.added", "output_index": at, "item": item("")})));
        for piece in pieces(&call.arguments) {
            out.push(event(&json!({"type": "response.function_call_arguments.delta", "output_index": at,
                "delta": piece})));
        }
        let done = item(&call.arguments);
        out.push(event(&json!({"type": "response.output_item.done", "output_index": at, "item": done})));
    }
    let (input, output) = counts(answer);
    let (kind, details) = if cut(answer) {
        ("incomplete", json!({"reason": "max_output_tokens"}))
    } else {
        ("completed", Value::Null)
    };
    out.push(event(&json!({"type": format!("response.{kind}"), "response": {"id": "resp_1", "status": kind,
        "model": "m", "incomplete_details": details,
        "usage": {"input_tokens": input, "output_tokens": output, "total_tokens": input + output}}})));
    out
}

fn messages(answer: &Answer) -> Vec<String> {
    let (input, output) = counts(answer);
    let mut out = vec![
        event(&json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [],
            "usage": {"input_tokens": input, "output_tokens": 1}}})),
        event(&json!({"type": "ping"})),
    ];
    let mut blocks = Vec::new();
    if !answer.thinking.is_empty() {
        let mut deltas: Vec<Value> = pieces(&answer.thinking)
            .iter()
            .map(|p| json!({"type": "thinking_delta", "thinking": p}))
            .collect();
        deltas.push(json!({"type": "signature_delta", "signature": "sig"}));
        blocks.push((json!({"type": "thinking", "thinking": "", "signature": ""}), deltas));
    }
    if !answer.text.is_empty() {
        let deltas = pieces(&answer.text).iter().map(|p| json!({"type": "text_delta", "text": p})).collect();
        blocks.push((json!({"type": "text", "text": ""}), deltas));
    }
    for (place, call) in answer.calls.iter().enumerate() {
        let deltas = pieces(&call.arguments)
            .iter()
            .map(|p| json!({"type": "input_json_delta", "partial_json": p}))
            .collect();
        let start =
            json!({"type": "tool_use", "id": format!("toolu_{place}"), "name": call.name, "input": {}});
        blocks.push((start, deltas));
    }
    for (index, (start, deltas)) in blocks.into_iter().enumerate() {
        out.push(event(&json!({"type": "content_block_start", "index": index, "content_block": start})));
        for delta in deltas {
            out.push(event(&json!({"type": "content_block_delta", "index": index, "delta": delta})));
        }
        out.push(event(&json!({"type": "content_block_stop", "index": index})));
    }
    let stop = if cut(answer) {
        "max_tokens"
    } else if answer.calls.is_empty() {
        "end_turn"
    } else {
        "tool_use"
    };
    out.push(event(&json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
        "usage": {"output_tokens": output}})));
    out.push(event(&json!({"type": "message_stop"})));
    out
}
