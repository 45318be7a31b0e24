use std::time::Duration;

use agent_testkit::{FakeModel, ModelFault};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn request(marker: &str, stream: bool) -> Value {
    let messages = [json!({"role": "system", "content": marker}), json!({"role": "user", "content": "go"})];
    json!({"model": "m", "stream": stream, "stream_options": {"include_usage": true}, "messages": messages})
}

async fn send(model: &FakeModel, body: &Value) -> TcpStream {
    let address = model.base_url().replace("http://", "").replace("/v1", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: model\r\n";
    let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// The whole answer; the request side is closed, so the model closes when it is done.
async fn ask(model: &FakeModel, body: &Value) -> String {
    let mut stream = send(model, body).await;
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn events(answer: &str) -> Vec<Value> {
    let data = answer.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn hello_streams_its_tokens_with_finish_reason_usage_and_end() {
    let model = FakeModel::start().await.unwrap();

    let answer = ask(&model, &request("[[fake:hello tokens=3]]", true)).await;

    assert!(answer.contains("data: [DONE]") && answer.ends_with("0\r\n\r\n"));
    let events = events(&answer);
    let text: String =
        events.iter().filter_map(|event| event.pointer("/choices/0/delta/content")?.as_str()).collect();
    assert_eq!(text, "tok0 tok1 tok2 ");
    assert!(events.iter().any(|event| event.pointer("/choices/0/finish_reason") == Some(&json!("stop"))));
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 3);
    assert_eq!((model.requests(), model.requests_of("hello")), (1, 1));
}

#[tokio::test]
async fn the_pieces_of_a_tool_call_make_its_arguments() {
    let model = FakeModel::start().await.unwrap();

    let answer = ask(&model, &request("[[fake:tools]]", true)).await;

    let arguments = "/choices/0/delta/tool_calls/0/function/arguments";
    let joined: String =
        events(&answer).iter().filter_map(|event| event.pointer(arguments)?.as_str()).collect();
    let arguments: Value = serde_json::from_str(&joined).unwrap();
    assert_eq!(arguments["file_path"], "/notes.md");
    let whole = ask(&model, &request("[[fake:tools]]", false)).await;
    assert!(whole.contains("\"finish_reason\":\"tool_calls\"") && whole.contains("write_file"));
}

#[tokio::test]
async fn faults_come_in_their_order_and_then_all_is_well() {
    let model = FakeModel::start().await.unwrap();
    let late = ModelFault::Delay(Duration::from_millis(1));
    model.fail_next([
        ModelFault::Status(429, Some(2)),
        ModelFault::Status(500, None),
        ModelFault::CutAfter(2),
        late,
    ]);
    let body = request("[[fake:hello tokens=5]]", true);

    let limited = ask(&model, &body).await;
    assert!(limited.starts_with("HTTP/1.1 429") && limited.contains("retry-after: 2"));
    assert!(ask(&model, &body).await.starts_with("HTTP/1.1 500"));
    let cut = ask(&model, &body).await;
    assert!(cut.contains("tok1 ") && !cut.contains("tok2 ") && !cut.contains("[DONE]"));
    assert!(ask(&model, &body).await.contains("[DONE]"));
    assert!(ask(&model, &body).await.contains("[DONE]"));
    assert_eq!((model.requests(), model.bodies().len()), (5, 5));
}

#[tokio::test]
async fn a_stalled_stream_stays_open_and_silent() {
    let model = FakeModel::start().await.unwrap();
    model.fail_next([ModelFault::StallAfter(1)]);
    let mut stream = send(&model, &request("[[fake:hello]]", true)).await;
    let mut seen = String::new();
    while !seen.contains("tok0 ") {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "closed early");
        seen.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    let more = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut [0; 1])).await;
    assert!(more.is_err() && !seen.contains("tok1 "));
}
