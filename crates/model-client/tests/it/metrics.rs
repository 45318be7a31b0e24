//! What operators can count.

use agent_executor_core::Usage;
use agent_model_client::{Answer, Delta, METRIC_NAMES, ModelClient};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::Notify;

use crate::{
    render::{Api, script},
    server::{Server, Step, hello, plain, stream_head},
};

#[tokio::test]
async fn every_call_is_counted_also_one_that_nobody_waits_for() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let usage = Some(Usage { input_tokens: 120, output_tokens: 7 });
    let hanging =
        script(Api::Chat, &Answer::text("never ending")).into_iter().take(3).chain([Step::Hang]).collect();
    let server = Server::start(vec![
        plain(500, "", "{}"),
        script(Api::Chat, &Answer { usage, ..Answer::text("hi") }),
        plain(401, "", "{}"),
        vec![stream_head(), Step::Close],
        hanging,
    ])
    .await;
    let client = server.client(|config| config.retry.retries = 1);
    let at_zero = recorder.handle().render();
    assert!(
        at_zero.contains(r#"agent_executor_model_requests_total{provider="ollama",outcome="ok"} 0"#),
        "{at_zero}"
    );

    client.complete(&hello("openai"), &mut |_| {}).await.unwrap();
    client.complete(&hello("openai"), &mut |_| {}).await.unwrap_err();
    let given_up = Notify::new();
    let (asked, mut on_delta) = (hello("openai"), |_: Delta<'_>| given_up.notify_one());
    tokio::select! {
        outcome = client.complete(&asked, &mut on_delta) => panic!("the server never ends: {outcome:?}"),
        () = given_up.notified() => {}
    }

    let text = recorder.handle().render();
    for line in [
        r#"agent_executor_model_requests_total{provider="openai",outcome="ok"} 1"#,
        r#"agent_executor_model_requests_total{provider="openai",outcome="auth"} 1"#,
        r#"agent_executor_model_requests_total{provider="openai",outcome="cancelled"} 1"#,
        r#"agent_executor_model_retries_total{provider="openai"} 2"#,
        r#"agent_executor_model_tokens_total{provider="openai",kind="input"} 120"#,
        r#"agent_executor_model_tokens_total{provider="openai",kind="output"} 7"#,
        "agent_executor_model_first_token_seconds_count 1",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    for name in METRIC_NAMES {
        assert!(text.contains(name), "{name}");
    }
}
