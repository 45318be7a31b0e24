use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;

/// What `act` logs.
fn logged(format: Format, act: impl FnOnce()) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let layer = Lines::new(format, Arc::new(move |line: &str| kept.lock().unwrap().push(line.to_owned())));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
    lines.lock().unwrap().clone()
}

fn parsed(act: impl FnOnce()) -> Vec<Value> {
    let one = |line: &String| {
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?}");
        serde_json::from_str(line).unwrap()
    };
    logged(Format::Json, act).iter().map(one).collect()
}

#[test]
fn a_line_is_one_flat_object_with_the_fields_of_its_spans() {
    let lines = parsed(|| {
        let job =
            tracing::info_span!("job", job_id = "j-17", thread_id = "t-1", trace_id = tracing::field::Empty);
        job.record("trace_id", "4bf9");
        let _inside = job.enter();
        let _step = tracing::info_span!("step", step = 3).entered();
        tracing::warn!(code = "definition.unknown_tool", attempt = 2, fatal = true, "job_rejected");
    });
    let mut line = lines[0].clone();
    let members: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "event",
            "level",
            "timestamp",
            "target",
            "job_id",
            "thread_id",
            "trace_id",
            "step",
            "code",
            "attempt",
            "fatal"
        ]
    );
    let timestamp = line["timestamp"].take();
    let timestamp = timestamp.as_str().unwrap();
    assert!(timestamp.len() == 27 && timestamp.ends_with('Z') && timestamp.contains('T'), "{timestamp}");
    assert_eq!(
        line,
        json!({"event": "job_rejected", "level": "warning", "timestamp": null, "target": "agent_telemetry::logs::tests",
            "job_id": "j-17", "thread_id": "t-1", "trace_id": "4bf9", "step": 3,
            "code": "definition.unknown_tool", "attempt": 2, "fatal": true})
    );
}

#[test]
fn an_inner_span_and_the_line_itself_win_over_an_outer_span() {
    let lines = parsed(|| {
        let _outer = tracing::info_span!("outer", agent = "main", step = 1).entered();
        let _inner = tracing::info_span!("inner", agent = "sub").entered();
        tracing::info!(step = 2, "stepped");
    });
    assert_eq!((&lines[0]["agent"], &lines[0]["step"]), (&json!("sub"), &json!(2)));
}

#[test]
fn a_field_cannot_pose_as_a_member_nor_text_as_a_line() {
    let lines = parsed(|| tracing::info!(level = "error", text = "a\n{\"event\":\"forged\"}", "said"));
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["level"], &lines[0]["field_level"]), (&json!("info"), &json!("error")));
    let plain =
        logged(Format::Human { colour: false }, || tracing::info!(text = "a\nb\x1b[2J", "said\nmore"));
    assert!(plain[0].matches('\n').count() == 1 && !plain[0].contains('\x1b'), "{plain:?}");
}

#[derive(Debug, thiserror::Error)]
#[error("cannot publish")]
struct Outer(#[source] std::io::Error);

#[test]
fn an_error_is_written_with_its_causes() {
    let lines = parsed(|| {
        let outer = Outer(std::io::Error::other("no route to host"));
        tracing::error!(error = &outer as &dyn std::error::Error, "publish_failed");
    });
    assert_eq!(lines[0]["error"], json!("cannot publish: no route to host"));
}

#[test]
fn a_registered_secret_is_in_no_line() {
    crate::secrets::register("hunter2-\"canary\"");
    for format in [Format::Json, Format::Human { colour: true }] {
        let lines = logged(format, || {
            let _span = tracing::info_span!("job", key = "hunter2-\"canary\"").entered();
            tracing::info!(dsn = "postgres://u:hunter2-\"canary\"@h/db", list = ?["hunter2-\"canary\""], "connected");
        });
        assert!(!lines[0].contains("canary") && !lines[0].contains("hunter2"), "{lines:?}");
        assert_eq!(lines[0].matches("[REDACTED]").count(), 3, "{lines:?}");
    }
}

#[test]
fn people_read_a_plain_line() {
    let lines = logged(Format::Human { colour: false }, || {
        tracing::info!(job_id = "j 1", steps = 3, "job_completed")
    });
    assert!(lines[0].ends_with(" info    job_completed job_id=\"j 1\" steps=3\n"), "{lines:?}");
}

#[test]
fn a_filter_that_cannot_be_read_is_named() {
    let error = filter(None, Some("loud")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`LOG_LEVEL`: expected trace, debug, info, warn, error or off, found `loud`"
    );
    assert!(
        filter(Some("a=b=c=d"), None).unwrap_err().to_string().starts_with("`RUST_LOG`: expected directives")
    );
    assert_eq!(filter(None, Some("WARNING")).unwrap().to_string(), "warn");
    assert_eq!(filter(Some("debug"), Some("loud")).unwrap().to_string(), "debug", "RUST_LOG wins");
}
