//! Streams as bad servers and bad networks make them.

use std::time::Duration;

use agent_executor_core::{ModelError, ModelErrorKind, ModelReply, ModelRequest, StopReason};
use agent_model_client::{Answer, Delta, HttpClient, ModelClient};
use serde_json::json;

use crate::{
    render::{Api, script},
    server::{KEY, Script, Server, Step, hello, plain, responses, stream, stream_head},
};

/// Asks once; the text that was streamed, and the outcome.
async fn ask(client: &HttpClient, request: &ModelRequest) -> (String, Result<ModelReply, ModelError>) {
    let mut text = String::new();
    let mut on_delta = |delta: Delta<'_>| {
        if let Delta::Text(piece) = delta {
            text.push_str(piece);
        }
    };
    let outcome = client.complete(request, &mut on_delta).await;
    (text, outcome)
}

async fn once(provider: &str, script: Script) -> (String, Result<ModelReply, ModelError>) {
    let server = Server::start(vec![script]).await;
    let client = server.client(|config| config.retry.retries = 0);
    ask(&client, &hello(provider)).await
}

fn chat(delta: serde_json::Value, finish: Option<&str>) -> String {
    let chunk = json!({"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    format!("data: {chunk}\n\n")
}

fn text(piece: &str) -> String {
    chat(json!({"content": piece}), None)
}

#[tokio::test]
async fn a_stream_cut_into_single_bytes_reads_like_a_whole_one() {
    for (api, provider) in [(Api::Chat, "openai"), (Api::Messages, "anthropic"), (Api::Responses, "openai")] {
        let answer = Answer::text("ä€😀 über").call("ls", &json!({"path": "/ü"}));
        let mut cut = Vec::new();
        for step in script(api, &answer) {
            match step {
                Step::Chunk(bytes) => cut.extend(bytes.into_iter().map(|byte| Step::Chunk(vec![byte]))),
                other => cut.push(other),
            }
        }
        let server = Server::start(vec![cut]).await;
        let client = server.client(|config| {
            if matches!(api, Api::Responses) {
                responses(config)
            }
        });
        let (streamed, outcome) = ask(&client, &hello(provider)).await;
        let message = outcome.unwrap().message;
        assert_eq!((streamed.as_str(), message.text("").as_str()), ("ä€😀 über", "ä€😀 über"), "{api:?}");
        assert_eq!(message.tool_calls()[0].args["path"], "/ü");
    }
}

#[tokio::test]
async fn carriage_returns_comments_and_unknown_events_change_nothing() {
    let body = [
        ": hello\n\n",
        "retry: 5\n\n",
        &text("one "),
        "event: news\ndata: {\"x\": 1}\n\n",
        &text("two"),
        &chat(json!({}), Some("stop")),
        "data: [DONE]\n\n",
    ]
    .concat()
    .replace('\n', "\r\n");
    let (streamed, outcome) = once("openai", stream(&body)).await;
    assert_eq!(streamed, "one two");
    assert_eq!(outcome.unwrap().stop, StopReason::Stop);
}

#[tokio::test]
async fn a_stream_is_complete_with_its_end_mark_only() {
    let finish = chat(json!({}), Some("stop"));
    let done = "data: [DONE]\n\n";
    let anthropic_stop = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
    let anthropic_text = "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"half\"}}\n\n";
    for (provider, name, body, complete) in [
        ("openai", "neither", text("half"), false),
        ("openai", "finish reason", text("half") + &finish, true),
        ("openai", "[DONE] alone", text("half") + done, true),
        ("openai", "[DONE] without its empty line", text("half") + "data: [DONE]", true),
        ("openai", "nonsense before the mark", text("half") + "data: {nonsense\n\ndata: [DONE]\n\n", false),
        ("openai", "half an event", text("half") + "data: {\"choi", false),
        ("anthropic", "no message_stop", format!("{anthropic_text}{anthropic_stop}"), false),
        (
            "anthropic",
            "message_stop",
            format!("{anthropic_text}{anthropic_stop}data: {{\"type\":\"message_stop\"}}\n\n"),
            true,
        ),
    ] {
        for end in [Step::End, Step::Close] {
            let script = vec![stream_head(), Step::Chunk(body.clone().into_bytes()), end.clone()];
            let (streamed, outcome) = once(provider, script).await;
            assert_eq!(streamed, "half", "{name}, {end:?}");
            match outcome {
                Ok(reply) => assert!(complete && reply.message.text("") == "half", "{name}, {end:?}"),
                Err(error) => {
                    assert!(!complete, "{name}, {end:?}: {error}");
                    assert_eq!(error.kind, ModelErrorKind::Interrupted, "{name}: {error}");
                    assert_eq!(error.request_id.as_deref(), Some("req_1"));
                }
            }
        }
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_told_in_the_providers_words() {
    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let (_, outcome) = once("anthropic", stream(overloaded)).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Unavailable, "nothing was handed out yet");
    assert_eq!(error.message, "anthropic: error in the stream - overloaded_error: Overloaded");

    let server_error = "data: {\"error\": {\"message\": \"it broke\", \"type\": \"server_error\"}}\n\n";
    let (_, outcome) = once("openai", stream(&(text("half") + server_error))).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Interrupted);
    assert_eq!(error.message, "openai: error in the stream - it broke");

    let overflow =
        "data: {\"error\": {\"message\": \"too long\", \"code\": \"context_length_exceeded\"}}\n\n";
    let (_, outcome) = once("openai", stream(overflow)).await;
    assert_eq!(outcome.unwrap_err().kind, ModelErrorKind::ContextOverflow);

    let failed = "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"sorry\"}}}\n\n";
    let server = Server::start(vec![stream(failed)]).await;
    let client = server.client(|config| {
        responses(config);
        config.retry.retries = 0;
    });
    let error = ask(&client, &hello("openai")).await.1.unwrap_err();
    assert_eq!(error.message, "openai: error in the stream - sorry");
}

#[tokio::test]
async fn silence_in_the_middle_of_an_answer_ends_it() {
    let server =
        Server::start(vec![vec![stream_head(), Step::Chunk(text("half").into_bytes()), Step::Hang]]).await;
    let client = server.client(|config| config.timeouts.idle = Duration::from_millis(50));
    let (streamed, outcome) = ask(&client, &hello("openai")).await;
    assert_eq!(streamed, "half");
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Interrupted);
    assert_eq!(error.message, "openai: nothing came for 50ms in the middle of the answer");
    server.client_left().await;
}

#[tokio::test]
async fn a_server_that_never_ends_its_body_costs_no_answer() {
    let body = text("whole") + &chat(json!({}), Some("stop")) + "data: [DONE]\n\n";
    let (_, outcome) = once("openai", vec![stream_head(), Step::Chunk(body.into_bytes()), Step::Hang]).await;
    assert_eq!(outcome.unwrap().message.text(""), "whole");
}

#[tokio::test]
async fn a_server_that_never_answers_is_left() {
    let server = Server::start(vec![vec![Step::Hang]]).await;
    let client = server.client(|config| {
        config.timeouts.head = Duration::from_millis(50);
        config.retry.retries = 0;
    });
    let error = ask(&client, &hello("openai")).await.1.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ModelErrorKind::Unavailable, "openai: no answer began within 50ms")
    );
    server.client_left().await;
}

#[tokio::test]
async fn the_total_limit_counts_everything() {
    let server =
        Server::start(vec![vec![stream_head(), Step::Chunk(text("half").into_bytes()), Step::Hang]]).await;
    let client = server.client(|config| config.timeouts.total = Some(Duration::from_millis(100)));
    let error = ask(&client, &hello("openai")).await.1.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Interrupted);
    server.client_left().await;
}

#[tokio::test]
async fn dropping_the_call_closes_its_connection() {
    let server =
        Server::start(vec![vec![stream_head(), Step::Chunk(text("half").into_bytes()), Step::Hang]]).await;
    let client = server.client(|_| {});
    let (sender, mut first) = tokio::sync::mpsc::unbounded_channel();
    let call = tokio::spawn(async move {
        let mut on_delta = move |_: Delta<'_>| sender.send(()).unwrap_or_default();
        client.complete(&hello("openai"), &mut on_delta).await
    });
    first.recv().await.unwrap();
    call.abort();
    server.client_left().await;
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let whole = || script(Api::Chat, &Answer::text("whole"));
    let server = Server::start(vec![whole(), whole(), whole()]).await;
    let client = server.client(|_| {});
    for _ in 0..3 {
        ask(&client, &hello("openai")).await.1.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn pieces_of_several_calls_may_come_in_turns() {
    let call = |delta: serde_json::Value| chat(json!({"tool_calls": delta}), None);
    let body = [
        call(json!([{"index": 0, "id": "a", "function": {"name": "one", "arguments": ""}},
                    {"index": 1, "id": "b", "function": {"name": "two", "arguments": "{\"x\""}}])),
        call(json!([{"index": 1, "function": {"arguments": ": 2}"}}, {"index": 0, "function": {"arguments": "{\"x\": 1}"}}])),
        chat(json!({}), Some("tool_calls")),
    ]
    .concat();
    let message = once("openai", stream(&body)).await.1.unwrap().message;
    let calls: Vec<_> =
        message.tool_calls().iter().map(|c| (c.id.as_deref().unwrap(), c.args["x"].as_u64())).collect();
    assert_eq!(calls, [("a", Some(1)), ("b", Some(2))]);
}

#[tokio::test]
async fn servers_that_number_no_calls_or_all_of_them_zero_are_understood() {
    for index in [json!(null), json!(0)] {
        let call = |id: &str, args: &str| {
            let function = json!({"name": "t", "arguments": args});
            chat(json!({"tool_calls": [{"index": index, "id": id, "function": function}]}), None)
        };
        let body = call("a", "{\"x\":1}") + &call("b", "{\"x\":2}") + &chat(json!({}), Some("stop"));
        let reply = once("ollama", stream(&body)).await.1.unwrap();
        assert_eq!(reply.stop, StopReason::ToolCalls, "whatever word the server used");
        let ids: Vec<_> = reply.message.tool_calls().iter().map(|c| c.id.clone().unwrap()).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}

#[tokio::test]
async fn a_call_without_an_id_gets_one() {
    let body = chat(
        json!({"tool_calls": [{"index": 0, "function": {"name": "t", "arguments": "{}"}}]}),
        Some("tool_calls"),
    );
    let reply = once("ollama", stream(&body)).await.1.unwrap();
    assert!(reply.message.tool_calls()[0].id.as_ref().unwrap().starts_with("call_"));
}

#[tokio::test]
async fn an_answer_without_bounds_is_cut() {
    let script = vec![stream_head(), Step::Chunk(text(&"x".repeat(5000)).into_bytes()), Step::Hang];
    let server = Server::start(vec![script]).await;
    let client = server.client(|config| {
        config.max_response_bytes = 1000;
        config.retry.retries = 0;
    });
    let error = ask(&client, &hello("openai")).await.1.unwrap_err();
    assert_eq!(error.message, "openai: the answer is longer than 1000 bytes");
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_refused_with_what_it_is() {
    let (_, outcome) = once("openai", plain(200, "", "{\"choices\": []}")).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Refused);
    assert_eq!(
        error.message,
        "openai: expected text/event-stream, found application/json: {\"choices\": []}"
    );
}

#[tokio::test]
async fn the_key_is_in_no_error_whoever_repeats_it() {
    let echo = json!({"error": {"message": format!("bad key {KEY}")}}).to_string();
    for script in [
        plain(401, "", &echo),
        stream(&format!("data: {echo}\n\n")),
        stream(&format!("data: {KEY}\n\n")),
        plain(200, "", &echo),
    ] {
        let (_, outcome) = once("openai", script).await;
        let error = outcome.unwrap_err();
        assert!(!format!("{error:?}").contains(KEY), "{error:?}");
    }
    let server = Server::start(Vec::new()).await;
    assert!(!format!("{:?}", server.client(|_| {})).contains(KEY));
}
