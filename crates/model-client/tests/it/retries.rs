//! When a request is repeated, and what is said when it is not.

use std::time::Duration;

use agent_executor_core::{ModelError, ModelErrorKind, ModelReply, ModelRequest};
use agent_langgraph_codec::Message;
use agent_model_client::{Answer, HttpConfig, ModelClient, Scripted};

use crate::{
    render::{Api, script},
    server::{Script, Server, Step, config, hello, plain, request, stream_head},
};

fn whole() -> Script {
    script(Api::Chat, &Answer::text("at last"))
}

async fn ask(
    scripts: Vec<Script>,
    change: impl FnOnce(&mut HttpConfig),
) -> (usize, Result<ModelReply, ModelError>, Server) {
    let server = Server::start(scripts).await;
    let outcome = server.client(change).complete(&hello("openai"), &mut |_| {}).await;
    (server.seen().len(), outcome, server)
}

#[tokio::test]
async fn passing_troubles_are_tried_again_four_times() {
    for status in [408, 409, 429, 500, 503, 529] {
        let mut scripts = vec![plain(status, "", "{}"); 4];
        scripts.push(whole());
        let (seen, outcome, _) = ask(scripts, |_| {}).await;
        assert_eq!((seen, outcome.unwrap().message.text("").as_str()), (5, "at last"), "{status}");

        let (seen, outcome, _) = ask(vec![plain(status, "", "{}"); 9], |_| {}).await;
        let expected = if status == 429 { ModelErrorKind::RateLimited } else { ModelErrorKind::Unavailable };
        let error = outcome.unwrap_err();
        assert_eq!((seen, error.kind, error.status), (5, expected, Some(status)));
    }
}

#[tokio::test]
async fn refusals_are_final() {
    for (status, kind) in [
        (400, ModelErrorKind::Refused),
        (401, ModelErrorKind::Auth),
        (403, ModelErrorKind::Auth),
        (404, ModelErrorKind::Refused),
        (413, ModelErrorKind::Refused),
        (302, ModelErrorKind::Refused),
    ] {
        let (seen, outcome, _) = ask(vec![plain(status, "", "{}"); 2], |_| {}).await;
        assert_eq!((seen, outcome.unwrap_err().kind), (1, kind), "{status}");
    }
}

#[tokio::test]
async fn the_body_the_status_and_the_request_id_of_an_error_are_kept() {
    let body = r#"{"error": {"message": "bad request", "type": "invalid_request_error", "code": null}}"#;
    let (_, outcome, _) = ask(vec![plain(400, "x-request-id: req_7\r\n", body)], |_| {}).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.message, "Error code: 400 - bad request");
    assert_eq!((error.status, error.request_id.as_deref()), (Some(400), Some("req_7")));

    let (_, outcome, _) = ask(vec![plain(502, "", "<html>no gateway</html>")], |c| c.retry.retries = 0).await;
    assert_eq!(outcome.unwrap_err().message, "Error code: 502 - <html>no gateway</html>");

    let (_, outcome, _) = ask(vec![plain(400, "", &"long ".repeat(1000))], |_| {}).await;
    assert!(outcome.unwrap_err().message.chars().count() <= 501);

    let server = Server::start(vec![plain(
        401,
        "request-id: req_a\r\n",
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
    )])
    .await;
    let error = server.client(|_| {}).complete(&hello("anthropic"), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.message, "Error code: 401 - authentication_error: invalid x-api-key");
    assert_eq!(error.request_id.as_deref(), Some("req_a"));
}

#[tokio::test]
async fn the_servers_wish_is_obeyed_up_to_the_cap() {
    let long = |c: &mut HttpConfig| {
        c.retry.base_delay = Duration::from_secs(3600);
        c.retry.retry_after_cap = Duration::from_millis(5);
    };
    for header in ["retry-after: 0\r\n", "retry-after-ms: 1\r\n", "retry-after: 3600\r\n"] {
        let (seen, outcome, _) = ask(vec![plain(429, header, "{}"), whole()], long).await;
        assert!(outcome.is_ok() && seen == 2, "{header}: without it the wait is an hour");
    }
}

#[tokio::test]
async fn the_server_may_say_whether_to_try_again() {
    let (seen, outcome, _) = ask(vec![plain(400, "x-should-retry: true\r\n", "{}"), whole()], |_| {}).await;
    assert!(outcome.is_ok() && seen == 2);
    let (seen, outcome, _) = ask(vec![plain(500, "x-should-retry: false\r\n", "{}"), whole()], |_| {}).await;
    assert!(outcome.is_err() && seen == 1);
}

#[tokio::test]
async fn an_empty_purse_is_not_asked_again() {
    let body = r#"{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}"#;
    let (seen, outcome, _) = ask(vec![plain(429, "", body), whole()], |_| {}).await;
    assert_eq!((seen, outcome.unwrap_err().kind), (1, ModelErrorKind::RateLimited));
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_known_by_its_words() {
    for (status, words) in [
        (400, "This model's maximum context length is 128000 tokens"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum"),
        (413, "context window exceeded"),
        (422, "the request exceeds the available context size"),
    ] {
        let body = serde_json::json!({"error": {"message": words}}).to_string();
        let (seen, outcome, _) = ask(vec![plain(status, "", &body); 2], |_| {}).await;
        assert_eq!((seen, outcome.unwrap_err().kind), (1, ModelErrorKind::ContextOverflow), "{words}");
    }
}

#[tokio::test]
async fn broken_connections_are_tried_again_until_the_first_piece() {
    let cut_early = vec![stream_head(), Step::Close];
    let (seen, outcome, _) = ask(vec![vec![Step::Close], cut_early, whole()], |_| {}).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(seen >= 3);

    let cut_late =
        script(Api::Chat, &Answer { breaks_after: Some(1), ..Answer::text("a long text in many pieces") });
    let (seen, outcome, _) = ask(vec![cut_late, whole()], |_| {}).await;
    assert_eq!((seen, outcome.unwrap_err().kind), (1, ModelErrorKind::Interrupted));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let address = Server::start(Vec::new()).await.client(|_| {});
    drop(address);
    let mut config = config();
    config.provider_mut("ollama").unwrap().base_url = "http://127.0.0.1:1/v1".to_owned();
    config.retry.retries = 1;
    let client = agent_model_client::HttpClient::new(config).unwrap();
    let error = client.complete(&hello("ollama"), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Unavailable);
    assert!(
        error.message.starts_with("ollama: no answer: ") && !error.message.contains("/v1"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_server_that_refuses_to_count_is_asked_once_without_and_never_again() {
    let refusal = plain(400, "", r#"{"error": {"message": "unknown field stream_options"}}"#);
    let server = Server::start(vec![refusal, whole(), whole()]).await;
    let client = server.client(|config| config.retry.retries = 0);
    for _ in 0..2 {
        client.complete(&hello("openai"), &mut |_| {}).await.unwrap();
    }
    let asked: Vec<bool> =
        server.seen().iter().map(|seen| seen.body.get("stream_options").is_some()).collect();
    assert_eq!(asked, [true, false, false]);
}

#[tokio::test]
async fn a_provider_that_is_not_configured_is_named() {
    let client = Server::start(Vec::new()).await.client(|_| {});
    let error = client.complete(&hello("gemini"), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::UnknownProvider);
    assert_eq!(error.message, "no model provider is called `gemini`; there are anthropic, ollama, openai");
}

#[tokio::test]
async fn a_vendor_is_not_asked_without_a_key() {
    let client = agent_model_client::HttpClient::new(config()).unwrap();
    let error = client.complete(&hello("openai"), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Auth);
    assert_eq!(error.message, "no API key is configured for provider `openai`");
}

#[tokio::test]
async fn a_client_is_a_trait_object() {
    let client: std::sync::Arc<dyn ModelClient> =
        std::sync::Arc::new(Scripted::new(|_| Ok(Answer::text("x"))));
    let asked: ModelRequest = request("any", "m", vec![Message::human("x", "h")]);
    assert_eq!(client.complete(&asked, &mut |_| {}).await.unwrap().message.text(""), "x");
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_and_the_first_answer_brings_it_back() {
    let mut scripts = vec![plain(503, "", "{}"); 3];
    scripts.extend([whole(), whole()]);
    let server = Server::start(scripts).await;
    let client = server.client(|config| {
        config.breaker.failures = 3;
        config.breaker.open_for = Duration::from_millis(30);
        config.retry.retries = 2;
    });
    assert!(client.ready(), "nobody has asked yet");
    let error = client.complete(&hello("openai"), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.status, Some(503));
    assert!(!client.ready(), "three requests in a row met it down");
    assert_eq!(server.seen().len(), 3);

    // Waits until it may probe, and is answered.
    client.complete(&hello("openai"), &mut |_| {}).await.unwrap();
    assert!(client.ready());
    client.complete(&hello("openai"), &mut |_| {}).await.unwrap();
    assert_eq!(server.seen().len(), 5, "not one request more than those that were answered");
}

#[tokio::test]
async fn an_open_circuit_sends_nothing_and_a_call_does_not_wait_for_ever() {
    let server = Server::start(vec![plain(503, "", "{}")]).await;
    let client = server.client(|config| {
        config.breaker.failures = 1;
        config.breaker.open_for = Duration::from_secs(600);
        config.retry.retries = 0;
    });
    client.complete(&hello("openai"), &mut |_| {}).await.unwrap_err();
    let error = client.complete(&hello("openai"), &mut |_| {}).await.unwrap_err();
    assert_eq!((error.kind, error.status), (ModelErrorKind::Unavailable, None));
    assert!(error.message.contains("left alone"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn repetitions_end_with_the_budget() {
    let (seen, outcome, _) = ask(vec![plain(503, "", "{}"); 9], |config| {
        config.breaker.retry_budget = 2;
        config.breaker.failures = 0;
    })
    .await;
    assert_eq!((seen, outcome.unwrap_err().kind), (3, ModelErrorKind::Unavailable));
}
