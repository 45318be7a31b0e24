//! What goes out, where the recorded conversations do not say it: other providers' threads, ids, limits, keys.

use std::sync::Arc;

use agent_executor_core::{ModelRequest, ResponseFormat, ToolSpec};
use agent_langgraph_codec::{Content, InvalidToolCall, Kind, Message, ToolCall, ToolStatus};
use agent_model_client::{HttpConfig, KeyHeader, ModelClient, OpenAiApi};
use serde_json::{Value, json};

use crate::server::{KEY, Seen, Server, plain, request, responses};

/// The request as it arrived. The answer does not matter.
async fn sent(asked: &ModelRequest, change: impl FnOnce(&mut HttpConfig)) -> Seen {
    let server = Server::start(vec![plain(400, "", "{}")]).await;
    server.client(change).complete(asked, &mut |_| {}).await.unwrap_err();
    server.seen().remove(0)
}

async fn body(asked: &ModelRequest) -> Value {
    sent(asked, |_| {}).await.body
}

fn call(id: &str, name: &str, args: Value) -> ToolCall {
    ToolCall { id: Some(id.to_owned()), name: name.to_owned(), args: args.as_object().unwrap().clone() }
}

fn tool(text: &str, id: &str) -> Message {
    Message::tool(Content::Text(text.to_owned()), "t", id, ToolStatus::Success, "t1")
}

fn from(provider: &str, mut message: Message) -> Message {
    message.response_metadata.insert("model_provider".to_owned(), Value::from(provider));
    message
}

fn with_invalid(mut message: Message, id: Option<&str>) -> Message {
    if let Kind::Ai { invalid_tool_calls, .. } = &mut message.kind {
        invalid_tool_calls.push(InvalidToolCall {
            id: id.map(str::to_owned),
            name: Some("bad".to_owned()),
            args: Some("{nope".to_owned()),
            error: None,
        });
    }
    message
}

#[tokio::test]
async fn a_thread_of_anthropic_is_readable_to_openai() {
    let blocks = vec![
        json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
        json!({"type": "text", "text": "let me"}),
        json!({"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {}, "partial_json": "{\"path\""}),
    ];
    let messages = vec![
        Message::human("hi", "h"),
        from(
            "anthropic",
            Message::ai(Content::Blocks(blocks), vec![call("toolu_1", "ls", json!({"path": "/"}))], None),
        ),
        tool("[]", "toolu_1"),
    ];
    let chat = body(&request("openai", "gpt-4o", messages.clone())).await;
    assert_eq!(
        chat["messages"][2],
        json!({"content": "let me", "role": "assistant", "tool_calls": [
            {"type": "function", "id": "toolu_1", "function": {"name": "ls", "arguments": "{\"path\": \"/\"}"}}]})
    );
    let input = sent(&request("openai", "gpt-4o", messages), responses).await.body;
    assert_eq!(
        input["input"].as_array().unwrap()[2..4],
        [
            json!({"type": "message", "role": "assistant",
                "content": [{"type": "output_text", "text": "let me", "annotations": []}]}),
            json!({"type": "function_call", "name": "ls", "arguments": "{\"path\": \"/\"}", "call_id": "toolu_1"}),
        ]
    );
}

#[tokio::test]
async fn a_thread_of_openai_is_readable_to_anthropic() {
    let blocks = vec![
        json!({"type": "reasoning", "id": "rs_1", "summary": []}),
        json!({"type": "text", "text": "let me", "id": "msg_1", "index": 0}),
        json!({"type": "function_call", "call_id": "call.1/a", "name": "ls", "arguments": "{}", "id": "fc_1"}),
    ];
    let messages = vec![
        Message::human("hi", "h"),
        from(
            "openai",
            Message::ai(Content::Blocks(blocks), vec![call("call.1/a", "ls", json!({"path": "/"}))], None),
        ),
        tool("[]", "call.1/a"),
    ];
    let body = body(&request("anthropic", "claude-sonnet-4-5-20250929", messages)).await;
    assert_eq!(body["max_tokens"], 64_000);
    assert_eq!(
        body["messages"][1]["content"],
        json!([{"text": "let me", "type": "text"},
            {"type": "tool_use", "name": "ls", "input": {"path": "/"}, "id": "toolu_4a712cf72080993bdce3afb0"}])
    );
    assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], "toolu_4a712cf72080993bdce3afb0");
}

#[tokio::test]
async fn thoughts_go_back_only_to_who_signed_them() {
    let blocks = || {
        Content::Blocks(vec![
            json!({"type": "thinking", "thinking": "hm", "signature": "sig", "index": 0}),
            json!({"type": "redacted_thinking", "data": "xx"}),
            json!({"type": "thinking", "thinking": "unsigned", "signature": ""}),
            json!({"type": "text", "text": "so"}),
        ])
    };
    let content = |author| {
        let message = from(author, Message::ai(blocks(), Vec::new(), None));
        let asked =
            request("anthropic", "m", vec![Message::human("a", "1"), message, Message::human("b", "2")]);
        async move { body(&asked).await["messages"][1]["content"].clone() }
    };
    assert_eq!(
        content("anthropic").await,
        json!([{"signature": "sig", "thinking": "hm", "type": "thinking"},
            {"data": "xx", "type": "redacted_thinking"}, {"text": "so", "type": "text"}])
    );
    assert_eq!(content("somebody").await, json!([{"text": "so", "type": "text"}]));
}

#[tokio::test]
async fn openais_reasoning_goes_back_with_the_ids_of_what_followed() {
    let blocks = vec![
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "index": 0}),
        json!({"type": "function_call", "call_id": "c1", "name": "ls", "arguments": "{}", "id": "fc_1", "index": 1}),
    ];
    let message =
        from("openai", Message::ai(Content::Blocks(blocks), vec![call("c1", "ls", json!({}))], None));
    let input = sent(&request("openai", "m", vec![message, tool("x", "c1")]), responses).await.body;
    assert_eq!(
        input["input"].as_array().unwrap()[1..],
        [
            json!({"type": "reasoning", "id": "rs_1", "summary": []}),
            json!({"type": "function_call", "name": "ls", "arguments": "{}", "call_id": "c1", "id": "fc_1"}),
            json!({"type": "function_call_output", "output": "x", "call_id": "c1"}),
        ]
    );
}

#[tokio::test]
async fn late_system_messages_join_anthropics_prompt_and_stay_in_place_for_openai() {
    let messages = || vec![Message::human("a", "1"), Message::system("late", "s"), Message::human("b", "2")];
    let anthropic = body(&request("anthropic", "m", messages())).await;
    let cache = json!({"type": "ephemeral", "ttl": "5m"});
    assert_eq!(
        anthropic["system"],
        json!([{"type": "text", "text": "S"}, {"type": "text", "text": "late", "cache_control": cache}])
    );
    assert_eq!(
        anthropic["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])
    );
    let openai = body(&request("openai", "gpt-4o", messages())).await;
    assert_eq!(openai["messages"][2], json!({"content": "late", "role": "system"}));
}

#[tokio::test]
async fn an_empty_prompt_is_sent_and_no_prompt_is_not() {
    for (prompt, anthropic, chat) in
        [(Some(""), json!(""), json!([{"content": "", "role": "system"}])), (None, Value::Null, json!([]))]
    {
        for provider in ["anthropic", "openai"] {
            let asked =
                ModelRequest { system: prompt.map(str::to_owned), ..request(provider, "m", Vec::new()) };
            let body = body(&asked).await;
            match provider {
                "anthropic" => assert_eq!(body.get("system").cloned().unwrap_or_default(), anthropic),
                _ => assert_eq!(body["messages"], chat),
            }
        }
    }
}

#[tokio::test]
async fn reasoning_models_get_their_prompt_from_the_developer() {
    for (provider, model, role) in
        [("openai", "o3-mini", "developer"), ("openai", "gpt-4o", "system"), ("ollama", "o1-local", "system")]
    {
        let body = body(&request(provider, model, Vec::new())).await;
        assert_eq!(body["messages"][0]["role"], role, "{provider} {model}");
    }
}

#[tokio::test]
async fn an_agents_name_is_never_sent() {
    let mut message = Message::ai(Content::Text("x".to_owned()), Vec::new(), None);
    message.name = Some("worker 1".to_owned());
    let body = body(&request("openai", "m", vec![message])).await;
    assert_eq!(body["messages"][1], json!({"content": "x", "role": "assistant"}));
}

#[tokio::test]
async fn invalid_calls_stand_where_their_answers_need_them() {
    let message = with_invalid(Message::ai(Content::Text(String::new()), Vec::new(), None), Some("c1"));
    let messages = vec![message, tool("malformed", "c1")];
    let chat = body(&request("openai", "m", messages.clone())).await;
    assert_eq!(
        chat["messages"][1],
        json!({"content": null, "role": "assistant", "tool_calls": [
            {"type": "function", "id": "c1", "function": {"name": "bad", "arguments": "{nope"}}]})
    );
    let anthropic = body(&request("anthropic", "m", messages)).await;
    assert_eq!(
        anthropic["messages"][0]["content"],
        json!([{"type": "tool_use", "name": "bad", "input": {}, "id": "c1"}])
    );
    let nameless = with_invalid(Message::ai(Content::Text(String::new()), Vec::new(), None), None);
    let chat = body(&request("openai", "m", vec![nameless])).await;
    assert_eq!(
        chat["messages"][1],
        json!({"content": "", "role": "assistant"}),
        "nobody answers a call without id"
    );
}

#[tokio::test]
async fn limits_and_structured_output_take_each_providers_form() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let asked = |provider| ModelRequest {
        max_output_tokens: Some(77),
        response_format: Some(ResponseFormat::Schema { name: "Ans".to_owned(), schema: schema.clone() }),
        ..request(provider, "m", Vec::new())
    };
    let chat = body(&asked("openai")).await;
    assert_eq!(chat["max_completion_tokens"], 77);
    let format = json!({"name": "Ans", "schema": schema, "strict": false});
    assert_eq!(chat["response_format"], json!({"type": "json_schema", "json_schema": format}));
    assert_eq!(body(&asked("ollama")).await["max_tokens"], 77);
    let input = sent(&asked("openai"), responses).await.body;
    assert_eq!(input["max_output_tokens"], 77);
    assert_eq!(
        input["text"],
        json!({"format": {"type": "json_schema", "name": "Ans", "schema": schema, "strict": false}})
    );
    let anthropic = body(&asked("anthropic")).await;
    assert_eq!(anthropic["max_tokens"], 77);
    assert_eq!(anthropic["output_config"], json!({"format": {"type": "json_schema", "schema": schema}}));
    assert_eq!(body(&request("anthropic", "unheard-of", Vec::new())).await["max_tokens"], 4096);
    let any = |provider| ModelRequest {
        response_format: Some(ResponseFormat::AnyTool),
        ..request(provider, "m", Vec::new())
    };
    assert_eq!(body(&any("openai")).await["tool_choice"], "required");
    assert_eq!(sent(&any("openai"), responses).await.body["tool_choice"], "required");
    assert_eq!(body(&any("anthropic")).await["tool_choice"], json!({"type": "any"}));
}

#[tokio::test]
async fn tools_take_each_providers_form() {
    let tools: Arc<[ToolSpec]> = ["a", "b"]
        .map(|name| ToolSpec {
            name: name.to_owned(),
            description: "\n  does it ".to_owned(),
            parameters: json!({"type": "object"}),
        })
        .into();
    let asked = |provider| ModelRequest { tools: tools.clone(), ..request(provider, "m", Vec::new()) };
    let function = json!({"name": "b", "description": "does it", "parameters": {"type": "object"}});
    assert_eq!(body(&asked("openai")).await["tools"][1], json!({"type": "function", "function": function}));
    assert_eq!(
        sent(&asked("openai"), responses).await.body["tools"][1],
        json!({"type": "function", "name": "b", "description": "does it", "parameters": {"type": "object"}})
    );
    let anthropic = body(&asked("anthropic")).await;
    assert_eq!(
        anthropic["tools"],
        json!([{"name": "a", "input_schema": {"type": "object"}, "description": "does it"},
            {"name": "b", "input_schema": {"type": "object"}, "description": "does it",
             "cache_control": {"type": "ephemeral", "ttl": "5m"}}])
    );
}

#[tokio::test]
async fn nothing_is_marked_for_keeping_where_that_is_not_wanted() {
    let spec = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        parameters: json!({"type": "object"}),
    };
    let mut asked = request("anthropic", "m", vec![Message::human("a", "1")]);
    asked.tools = ["a", "b"].map(spec).into();
    let marked = body(&asked).await.to_string();
    assert_eq!(marked.matches("cache_control").count(), 3, "request, prompt, last tool: {marked}");
    asked.options.prompt_caching = false;
    let plain = body(&asked).await;
    assert!(!plain.to_string().contains("cache_control"), "{plain}");
    assert_eq!(plain["tools"][1]["name"], "b");
}

#[tokio::test]
async fn one_interface_for_all_agents_of_a_definition() {
    let path = |asked: ModelRequest, api: OpenAiApi| async move {
        sent(&asked, |config| config.provider_mut("openai").unwrap().api = api).await.path
    };
    let mut asked = request("openai", "gpt-4o", Vec::new());
    assert_eq!(path(asked.clone(), OpenAiApi::Auto).await, "/v1/chat/completions");
    asked.options.responses_api = true;
    assert_eq!(path(asked.clone(), OpenAiApi::Auto).await, "/v1/responses", "another agent's model needs it");
    assert_eq!(
        path(asked.clone(), OpenAiApi::Chat).await,
        "/v1/chat/completions",
        "the operator's word stands"
    );
    asked.options.responses_api = false;
    assert_eq!(path(asked, OpenAiApi::Responses).await, "/v1/responses");
}

#[tokio::test]
async fn keys_and_versions_go_where_the_settings_say() {
    let bearer = format!("Bearer {KEY}");
    let seen = sent(&request("openai", "m", Vec::new()), |_| {}).await;
    assert_eq!(
        (seen.path.as_str(), seen.header("authorization")),
        ("/v1/chat/completions", Some(bearer.as_str()))
    );
    let seen = sent(&request("anthropic", "m", Vec::new()), |_| {}).await;
    assert_eq!((seen.path.as_str(), seen.header("x-api-key")), ("/v1/messages", Some(KEY)));
    assert_eq!((seen.header("anthropic-version"), seen.header("authorization")), (Some("2023-06-01"), None));
    let change = |config: &mut HttpConfig| {
        let provider = config.provider_mut("anthropic").unwrap();
        provider.key_header = KeyHeader::Bearer;
        provider.headers.insert("anthropic-version".to_owned(), "2026-10-21".to_owned());
    };
    let seen = sent(&request("anthropic", "m", Vec::new()), change).await;
    assert_eq!((seen.header("authorization"), seen.header("x-api-key")), (Some(bearer.as_str()), None));
    assert_eq!(seen.header("anthropic-version"), Some("2026-10-21"));
    let seen = sent(&request("openai", "gpt-5-pro", Vec::new()), |_| {}).await;
    assert_eq!(seen.path, "/v1/responses", "a model that exists there only");
}
