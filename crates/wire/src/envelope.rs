//! CloudEvents around a job: structured, binary, or none (wire contract 2.1).
//!
//! The body is parsed once, into plain members: the definition and the input are needed as values in any case, so
//! the data is moved out of its envelope and never copied.

use serde_json::{Map, Value};

use crate::depth::deeper_than;
use crate::headers::{header, is_json, media_type};
use crate::limits::Limits;
use crate::refusal::Refusal;

/// A body taken out of whatever was around it.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The job's members.
    pub(crate) job: Map<String, Value>,
    /// `traceparent` of the event, where it has one.
    pub(crate) traceparent: Option<String>,
    /// `tracestate` of the event.
    pub(crate) tracestate: Option<String>,
}

/// What is asked of a CloudEvent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing but its data: over NATS publishers never had to send more.
    DataOnly,
    /// All that the specification requires: the HTTP binding.
    Attributes,
    /// No event is looked for: the body is the job.
    NoEvent,
}

/// The attributes that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

pub(crate) fn open(
    body: &[u8],
    headers: &[(String, String)],
    limits: &Limits,
    check: Check,
) -> Result<Opened, Refusal> {
    let kind = media_type(headers);
    if kind.as_deref() == Some("application/cloudevents-batch+json") {
        return Err(batch());
    }
    let object = parse(body, limits)?;
    if check == Check::NoEvent {
        return Ok(Opened { job: object, traceparent: None, tracestate: None });
    }
    let declared = kind.as_deref().is_some_and(|kind| kind.starts_with("application/cloudevents"));
    if is_envelope(&object, declared) {
        if check == Check::Attributes && (declared || object.contains_key("specversion")) {
            check_attributes(|name| attribute(&object, name), "")?;
        }
        return structured(object);
    }
    let binary = REQUIRED.iter().any(|name| header(headers, &format!("ce-{name}")).is_some());
    if binary && check == Check::Attributes {
        check_attributes(|name| Found::of_header(header(headers, &format!("ce-{name}"))), "ce-")?;
        if let Some(other) = kind.filter(|kind| !is_json(kind)) {
            return Err(bad_event(format!("`content-type`: expected a JSON type, found `{}`", cut(&other))));
        }
    }
    let extension = |name: &str| binary.then(|| header(headers, name)).flatten().map(str::to_owned);
    Ok(Opened {
        job: object,
        traceparent: extension("ce-traceparent"),
        tracestate: extension("ce-tracestate"),
    })
}

/// Size, encoding, depth and form, in this order, so that nothing recursive sees an unchecked body.
fn parse(body: &[u8], limits: &Limits) -> Result<Map<String, Value>, Refusal> {
    if body.len() > limits.max_bytes {
        let message = format!("body: expected at most {} bytes, found {}", limits.max_bytes, body.len());
        return Err(Refusal::of_body("input.too_large", "too_long", message));
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|error| {
        let message = format!("body: expected UTF-8, found another byte at {}", error.valid_up_to());
        Refusal::of_body("input.not_json", "json_invalid", message)
    })?;
    if deeper_than(body, limits.max_depth) {
        let message =
            format!("body: expected at most {} levels of objects and lists, found more", limits.max_depth);
        return Err(Refusal::of_body("input.too_deep", "too_deep", message));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let message = if text.trim().is_empty() {
            "body: expected JSON, found nothing".to_owned()
        } else {
            format!("body: expected JSON, found {error}")
        };
        Refusal::of_body("input.not_json", "json_invalid", message)
    })?;
    match value {
        Value::Object(members) => Ok(members),
        Value::Array(_) => Err(batch()),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            let found = agent_executor_core::kind_of(&other);
            let message = format!("body: expected an object, found {found}");
            Err(Refusal::of_body("input.wrong_type", "dict_type", message))
        }
    }
}

fn batch() -> Refusal {
    let message = "body: expected one event, found a batch; send each job as a message of its own".to_owned();
    Refusal::of_body("input.batch", "dict_type", message)
}

/// A bare job may have a member `data` of its own: then it has a `job_id` beside it and none inside.
fn is_envelope(object: &Map<String, Value>, declared: bool) -> bool {
    let job_inside = match object.get("data") {
        Some(Value::Object(data)) => data.contains_key("job_id"),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => {
            false
        }
    };
    let bare = object.contains_key("job_id") && !job_inside;
    let looks = ["data", "data_base64", "specversion"].iter().any(|name| object.contains_key(*name));
    declared || (looks && !bare)
}

fn structured(mut object: Map<String, Value>) -> Result<Opened, Refusal> {
    let traceparent = take_text(&mut object, "traceparent");
    let tracestate = take_text(&mut object, "tracestate");
    let data = match (object.swap_remove("data"), object.swap_remove("data_base64")) {
        (Some(data), _) => data,
        (None, Some(Value::String(encoded))) => decode(&encoded)?,
        (None, _) => {
            return Err(bad_event("`data`: expected an object with the job, found nothing".to_owned()));
        }
    };
    match data {
        Value::Object(job) => Ok(Opened { job, traceparent, tracestate }),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            let found = agent_executor_core::kind_of(&other);
            Err(bad_event(format!("`data`: expected an object with the job, found {found}")))
        }
    }
}

fn decode(encoded: &str) -> Result<Value, Refusal> {
    use base64::Engine;
    let wrong =
        |what: &str| bad_event(format!("`data_base64`: expected base64 of a JSON object, found {what}"));
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|_| wrong("no base64"))?;
    // As deep as any body may be by default: the caller's limit was met by the outer text alone.
    if deeper_than(&bytes, Limits::default().max_depth) {
        return Err(wrong("too many levels of objects and lists"));
    }
    serde_json::from_slice(&bytes).map_err(|_| wrong("no JSON"))
}

fn take_text(object: &mut Map<String, Value>, name: &str) -> Option<String> {
    match object.swap_remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => {
            None
        }
    }
}

/// An attribute as it was found.
enum Found<'a> {
    Nothing,
    Text(&'a str),
    Other(&'static str),
}

impl<'a> Found<'a> {
    fn of_header(value: Option<&'a str>) -> Self {
        value.map_or(Found::Nothing, Found::Text)
    }
}

fn attribute<'a>(object: &'a Map<String, Value>, name: &str) -> Found<'a> {
    match object.get(name) {
        None => Found::Nothing,
        Some(Value::String(text)) => Found::Text(text),
        Some(
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)),
        ) => Found::Other(agent_executor_core::kind_of(other)),
    }
}

fn check_attributes<'a>(get: impl Fn(&str) -> Found<'a>, prefix: &str) -> Result<(), Refusal> {
    for name in REQUIRED {
        let found = match get(name) {
            Found::Text(text) if !text.is_empty() => continue,
            Found::Text(_) => "an empty string",
            Found::Nothing => "nothing",
            Found::Other(kind) => kind,
        };
        return Err(bad_event(format!("`{prefix}{name}`: expected a non-empty string, found {found}")));
    }
    if let Found::Text(version) = get("specversion")
        && version != "1.0"
    {
        return Err(bad_event(format!("`{prefix}specversion`: expected `1.0`, found `{}`", cut(version))));
    }
    if let Found::Text(time) = get("time")
        && time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).is_err()
    {
        return Err(bad_event(format!(
            "`{prefix}time`: expected a time as in RFC 3339, found `{}`",
            cut(time)
        )));
    }
    if let Found::Text(kind) = get("datacontenttype") {
        let plain = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !is_json(&plain) {
            return Err(bad_event(format!(
                "`{prefix}datacontenttype`: expected a JSON type, found `{}`",
                cut(kind)
            )));
        }
    }
    Ok(())
}

fn bad_event(message: String) -> Refusal {
    Refusal::of_body("input.bad_event", "value_error", message)
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
