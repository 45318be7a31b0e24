//! `/openapi.json` (OpenAPI 3.1), made from the types of the `wire` crate; `/schemas/{name}`; and the page that shows
//! the first (docs/decisions/0008-openapi-from-schemars.md).

use std::sync::LazyLock;

use agent_wire::http::{
    Accepted, ErrorBody, ExecutionState, HealthBody, HistoryPage, InvokeAnswer, JobView, ReadyBody,
    ThreadList, ValidationBody,
};
use agent_wire::schema::{self, Event, Job, JobEvent, ResultShape};
use axum::Json;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::{answers, ui};

const JSON: &str = "application/json";
const CLOUDEVENT: &str = "application/cloudevents+json";

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
static SCHEMAS: LazyLock<Vec<(&str, Value)>> = LazyLock::new(schema::published);

/// The whole description.
pub(crate) async fn get() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// `job.json`, `result.json` or `event.json`.
pub(crate) async fn schema(Path(name): Path<String>) -> Response {
    let known = SCHEMAS.iter().find(|(known, _)| name.strip_suffix(".json") == Some(*known));
    match known {
        Some((_, schema)) => {
            ([(header::CONTENT_TYPE, "application/schema+json")], Json(schema)).into_response()
        }
        None => answers::not_found("Schema", &name),
    }
}

/// A page without data and without a request to anybody but this service.
pub(crate) async fn page() -> Response {
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, include_str!("docs.html")).into_response()
}

/// Collects the schemas that are named.
struct Shapes(SchemaGenerator);

impl Shapes {
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().to_value()
    }

    fn answer<T: JsonSchema>(&mut self, about: &str) -> Value {
        let schema = self.of::<T>();
        json!({ "description": about, "content": { JSON: { "schema": schema } } })
    }

    fn error(&mut self, about: &str) -> Value {
        self.answer::<ErrorBody>(about)
    }
}

/// A parameter in the path.
fn in_path(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
}

fn optional(place: &str, name: &str, about: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": place, "required": false, "description": about, "schema": schema })
}

/// An operation: id, summary, parameters, body, answers by status.
fn operation(
    id: &str,
    summary: &str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(&str, Value)>,
) -> Value {
    let answers: Map<String, Value> =
        answers.into_iter().map(|(status, answer)| (status.to_owned(), answer)).collect();
    let mut operation =
        json!({ "operationId": id, "summary": summary, "parameters": parameters, "responses": answers });
    if let (Some(body), Some(members)) = (body, operation.as_object_mut()) {
        members.insert("requestBody".to_owned(), body);
    }
    operation
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut shapes = Shapes(SchemaGenerator::new(settings));
    let event = shapes.of::<Event>();
    let mut paths = jobs(&mut shapes);
    paths.extend(threads(&mut shapes, &event));
    paths.extend(service(&mut shapes));
    let paths: Map<String, Value> = paths.into_iter().collect();
    let schemas = shapes.0.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Agent Executor Service",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every path is also served under `/deepagents-runtime`.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// What nearly every operation may answer.
fn common(shapes: &mut Shapes) -> Vec<(&'static str, Value)> {
    vec![
        ("400", shapes.error("The path, the query or the head cannot be read.")),
        ("401", shapes.error("A token is asked for (API_TOKENS), and none or an unknown one came.")),
        ("408", shapes.error("The body did not come in time.")),
        ("413", shapes.error("The body is too large (HTTP_BODY_BYTES).")),
        ("503", shapes.error("The store is not available, or the worker is stopping; try again.")),
    ]
}

fn with(
    mut answers: Vec<(&'static str, Value)>,
    more: Vec<(&'static str, Value)>,
) -> Vec<(&'static str, Value)> {
    answers.extend(more);
    answers
}

#[expect(clippy::too_many_lines, reason = "a table of operations")]
fn jobs(shapes: &mut Shapes) -> Vec<(String, Value)> {
    let (job, job_event) = (shapes.of::<Job>(), shapes.of::<JobEvent>());
    let body = json!({ "required": true, "content": {
        JSON: { "schema": job }, CLOUDEVENT: { "schema": job_event } } });
    let result = shapes.of::<ResultShape>();
    let result = json!({ "description": "The job has ended, completed or failed: its result event.",
        "content": { CLOUDEVENT: { "schema": result } } });
    let refused = shapes.error("The body is no job; nothing ran.");
    let reused = shapes.error("The id belongs to a job with other content.");
    let gone = shapes.error("The job was deleted while it ran.");
    let run = operation(
        "run",
        "Run a job to its end (CloudEvents HTTP binding); with the header `Prefer: respond-async` 202 at once",
        Vec::new(),
        Some(body),
        with(
            common(shapes),
            vec![
                ("200", result),
                ("202", shapes.answer::<Accepted>("The job is stored and runs.")),
                ("400", refused),
                ("404", gone),
                ("409", reused),
            ],
        ),
    );
    let job = shapes.of::<Job>();
    let body = json!({ "required": true, "content": { JSON: { "schema": job } } });
    let invoke = operation(
        "invoke",
        "Start a job",
        Vec::new(),
        Some(body),
        with(
            common(shapes),
            vec![
                ("200", shapes.answer::<InvokeAnswer>("The job is stored and runs.")),
                ("400", shapes.error("The body ended before its time.")),
                ("409", shapes.error("The id belongs to a job with other content.")),
                ("422", shapes.answer::<ValidationBody>("The body is no job: everything that is wrong.")),
            ],
        ),
    );
    let get = operation(
        "get_job",
        "A job as it stands",
        vec![in_path("job_id")],
        None,
        with(
            common(shapes),
            vec![("200", shapes.answer::<JobView>("The job.")), ("404", shapes.error("No such job."))],
        ),
    );
    let cancel = operation(
        "cancel_job",
        "Ask for a job's end",
        vec![in_path("job_id")],
        None,
        with(
            common(shapes),
            vec![
                ("200", shapes.answer::<JobView>("It had ended before.")),
                ("202", shapes.answer::<JobView>("The request is durable.")),
                ("404", shapes.error("No such job.")),
            ],
        ),
    );
    vec![
        ("/".to_owned(), json!({ "post": run })),
        ("/invoke".to_owned(), json!({ "post": invoke })),
        ("/jobs/{job_id}".to_owned(), json!({ "get": get })),
        ("/jobs/{job_id}/cancel".to_owned(), json!({ "post": cancel })),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of operations")]
fn threads(shapes: &mut Shapes, event: &Value) -> Vec<(String, Value)> {
    let thread = || in_path("thread_id");
    let number = json!({ "type": "integer", "minimum": 0, "maximum": 1_000_000_000 });
    let since = || optional("query", "since", "Only events after this number.", &number);
    let unknown = shapes.error("No such thread.");
    let bad = shapes.answer::<ValidationBody>("A parameter is not what it should be.");
    let all = optional(
        "query",
        "files",
        "`all`: with the files of the context machinery.",
        &json!({ "enum": ["all"] }),
    );
    let state = operation(
        "get_state",
        "A thread's newest job as it stands",
        vec![thread(), all],
        None,
        with(
            common(shapes),
            vec![
                ("200", shapes.answer::<ExecutionState>("The truth.")),
                ("404", unknown.clone()),
                ("422", bad.clone()),
            ],
        ),
    );
    let stream = json!({ "description": "`id`: the number, `event`: the event_type, `data`: the data. Ends after an \
        `end` with no further job of the thread open.",
        "content": { "text/event-stream": { "schema": { "type": "string" }, "x-event-schema": event } } });
    let events = operation(
        "follow",
        "A thread's events (Server-Sent Events); the header `Last-Event-ID` says what `since` says, and wins over it",
        vec![thread(), since()],
        None,
        with(
            common(shapes),
            vec![
                ("200", stream),
                ("204", json!({ "description": "Nothing is left and nothing will come." })),
                ("404", unknown.clone()),
                ("422", bad.clone()),
            ],
        ),
    );
    let text = json!({ "type": "string" });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 200, "default": 20 });
    let paging = vec![
        thread(),
        optional("query", "limit", "Checkpoints of a page.", &limit),
        optional("query", "before", "Only older ones than this.", &text),
        optional("query", "ns", "The namespace; empty for the orchestrator.", &text),
    ];
    let history = operation(
        "history",
        "A thread's checkpoints, newest first",
        paging,
        None,
        with(
            common(shapes),
            vec![
                ("200", shapes.answer::<HistoryPage>("A page.")),
                ("404", unknown.clone()),
                ("422", bad.clone()),
            ],
        ),
    );
    let cleanup = operation(
        "cleanup",
        "Delete a thread; its open jobs are cancelled",
        vec![thread()],
        None,
        with(
            common(shapes),
            vec![("204", json!({ "description": "Every row of it is gone." })), ("404", unknown)],
        ),
    );
    let socket = json!({ "description": "A WebSocket: text frames of the schema `Event`. After a failure `error` and \
        close code 1011.", "x-frame-schema": event });
    let refused = shapes.error("No WebSocket was asked for.");
    let socket = operation(
        "stream",
        "A thread's newest job (WebSocket)",
        vec![thread(), since()],
        None,
        with(
            common(shapes),
            vec![
                ("101", socket),
                ("400", refused.clone()),
                ("403", shapes.error("Another origin.")),
                ("422", bad),
                ("426", refused),
            ],
        ),
    );
    vec![
        ("/threads".to_owned(), json!({ "get": recent(shapes) })),
        ("/state/{thread_id}".to_owned(), json!({ "get": state })),
        ("/stream/{thread_id}".to_owned(), json!({ "get": socket })),
        ("/threads/{thread_id}/events".to_owned(), json!({ "get": events })),
        ("/threads/{thread_id}/history".to_owned(), json!({ "get": history })),
        ("/cleanup/{thread_id}".to_owned(), json!({ "delete": cleanup })),
    ]
}

/// The list that the page at `/ui` begins with.
fn recent(shapes: &mut Shapes) -> Value {
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": ui::LARGEST_PAGE, "default": ui::PAGE });
    let bad = shapes.answer::<ValidationBody>("A parameter is not what it should be.");
    let list = shapes.answer::<ThreadList>("The list.");
    operation(
        "threads",
        "The threads with the newest jobs",
        vec![optional("query", "limit", "Threads of the list.", &limit)],
        None,
        with(common(shapes), vec![("200", list), ("422", bad)]),
    )
}

fn service(shapes: &mut Shapes) -> Vec<(String, Value)> {
    let open = |mut operation: Value| {
        if let Some(members) = operation.as_object_mut() {
            members.insert("security".to_owned(), json!([]));
        }
        json!({ "get": operation })
    };
    let health = vec![("200", shapes.answer::<HealthBody>("The process answers."))];
    let ready = vec![
        ("200", shapes.answer::<ReadyBody>("Everything in READY_REQUIRES answers.")),
        ("503", shapes.answer::<ReadyBody>("Something does not, or the worker is stopping.")),
    ];
    let text = |about: &str, kind: &str| json!({ "description": about, "content": { kind: { "schema": { "type": "string" } } } });
    let object = |about: &str, kind: &str| json!({ "description": about, "content": { kind: { "schema": { "type": "object" } } } });
    let names: Vec<String> = SCHEMAS.iter().map(|(name, _)| format!("{name}.json")).collect();
    let name = json!({ "name": "name", "in": "path", "required": true, "schema": { "enum": names } });
    let schema = with(
        common(shapes),
        vec![
            ("200", object("JSON Schema.", "application/schema+json")),
            ("404", shapes.error("No such schema.")),
        ],
    );
    let metrics = with(
        common(shapes),
        vec![
            ("200", text("Prometheus text.", "text/plain")),
            ("404", shapes.error("METRICS_PORT has them.")),
        ],
    );
    let own = with(common(shapes), vec![("200", object("This document.", JSON))]);
    let page = vec![("200", text("A page that shows this document.", "text/html"))];
    vec![
        ("/health".to_owned(), open(operation("health", "Liveness", Vec::new(), None, health))),
        ("/ready".to_owned(), open(operation("ready", "Readiness", Vec::new(), None, ready))),
        ("/metrics".to_owned(), json!({ "get": operation("metrics", "Metrics", Vec::new(), None, metrics) })),
        (
            "/openapi.json".to_owned(),
            json!({ "get": operation("openapi", "This document", Vec::new(), None, own) }),
        ),
        (
            "/schemas/{name}".to_owned(),
            json!({ "get": operation("schema", "A JSON Schema", vec![name], None, schema) }),
        ),
        ("/docs".to_owned(), open(operation("docs", "A page", Vec::new(), None, page))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        let document = document();
        let text = document.to_string();
        for piece in text.split("\"$ref\":\"#").skip(1) {
            let pointer = piece.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let paths = document["paths"].as_object().unwrap();
        let ids: Vec<&str> = paths
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len());
    }
}
