//! Reading the members of a job, all problems at once.

use agent_executor_core::{DefinitionError, FieldPath, MAX_RECURSION_LIMIT, ModelRef, kind_of};
use serde_json::{Map, Value};

use super::{JobLimits, JobRequest, payload_hash};
use crate::envelope::Opened;
use crate::headers::header;
use crate::ids::{IdError, JobId, ThreadId};
use crate::refusal::{Problem, Refusal};
use crate::trace::TraceContext;

/// Members as they were sent, and what is wrong with them so far.
struct Reader {
    members: Map<String, Value>,
    code: Option<&'static str>,
    problems: Vec<Problem>,
}

pub(super) fn job(opened: Opened, headers: &[(String, String)]) -> Result<JobRequest, Refusal> {
    let Opened { job, traceparent, tracestate } = opened;
    let mut reader = Reader { members: job, code: None, problems: Vec::new() };
    let job_id = reader.id("job_id", true, |text| JobId::try_from(text));
    let thread_id = reader.id("thread_id", false, |text| ThreadId::try_from(text));
    let trace_id_raw = reader.text("trace_id", false);
    let definition = reader.object("agent_definition", true);
    let input = reader.object("input_payload", false).unwrap_or_else(|| Value::Object(Map::new()));
    let limits = reader.limits();
    let model = reader.model();
    let (Some(job_id), Some(definition), true) = (job_id, definition, reader.problems.is_empty()) else {
        return Err(Refusal::new(reader.code.unwrap_or("input.missing_field"), reader.problems));
    };
    let thread_id = thread_id.unwrap_or_else(|| ThreadId::from(&job_id));
    let payload_hash = payload_hash(&thread_id, &definition, &input, &limits, model.as_ref());
    let trace =
        trace(headers, traceparent.as_deref(), tracestate.as_deref(), trace_id_raw.as_deref(), &job_id);
    let input = match input {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    Ok(JobRequest { job_id, thread_id, trace, trace_id_raw, definition, input, limits, model, payload_hash })
}

/// The header's trace, else the event's, else the job's `trace_id`, else one that always belongs to this job id.
fn trace(
    headers: &[(String, String)],
    traceparent: Option<&str>,
    tracestate: Option<&str>,
    trace_id: Option<&str>,
    job_id: &JobId,
) -> TraceContext {
    let of_header = header(headers, "traceparent")
        .and_then(|parent| TraceContext::from_traceparent(parent, header(headers, "tracestate")));
    of_header
        .or_else(|| traceparent.and_then(|parent| TraceContext::from_traceparent(parent, tracestate)))
        .or_else(|| trace_id.map(TraceContext::from_trace_id))
        .unwrap_or_else(|| TraceContext::hashed(job_id.as_str()))
}

impl Reader {
    fn problem(&mut self, code: &'static str, kind: &'static str, loc: &[&str], what: &str) {
        self.code.get_or_insert(code);
        let message = format!("`{}`: {what}", loc.join("."));
        let loc = loc.iter().map(|&part| part.to_owned()).collect();
        self.problems.push(Problem { kind, loc, message });
    }

    /// Null counts as absent, as every serialiser of optional members writes it.
    fn take(&mut self, name: &str, required: Option<&str>) -> Option<Value> {
        match self.members.swap_remove(name) {
            None | Some(Value::Null) => {
                if let Some(expected) = required {
                    let what = format!("expected {expected}, found nothing");
                    self.problem("input.missing_field", "missing", &[name], &what);
                }
                None
            }
            found @ Some(_) => found,
        }
    }

    fn wrong_type(&mut self, name: &str, kind: &'static str, expected: &str, found: &Value) {
        let what = format!("expected {expected}, found {}", kind_of(found));
        self.problem("input.wrong_type", kind, &[name], &what);
    }

    /// A trimmed text; blank counts as absent.
    fn text(&mut self, name: &str, required: bool) -> Option<String> {
        match self.take(name, required.then_some("a string"))? {
            Value::String(text) if text.trim().is_empty() && !required => None,
            Value::String(text) => Some(text.trim().to_owned()),
            other
            @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.wrong_type(name, "string_type", "a string", &other);
                None
            }
        }
    }

    fn id<T>(&mut self, name: &str, required: bool, read: impl Fn(&str) -> Result<T, IdError>) -> Option<T> {
        let text = self.text(name, required)?;
        match read(&text) {
            Ok(id) => Some(id),
            Err(error) => {
                self.problem("input.bad_id", "value_error", &[name], &error.to_string());
                None
            }
        }
    }

    fn object(&mut self, name: &str, required: bool) -> Option<Value> {
        match self.take(name, required.then_some("an object"))? {
            object @ Value::Object(_) => Some(object),
            other
            @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                self.wrong_type(name, "dict_type", "an object", &other);
                None
            }
        }
    }

    fn limits(&mut self) -> JobLimits {
        let recursion =
            self.whole("recursion_limit", u64::from(MAX_RECURSION_LIMIT), "a whole number from 1 to 9999");
        JobLimits {
            recursion_limit: recursion.and_then(|number| u32::try_from(number).ok()),
            deadline_seconds: self.seconds("deadline_seconds"),
            max_model_calls: self.whole("max_model_calls", u64::MAX, "a whole number from 1"),
            max_tokens: self.whole("max_tokens", u64::MAX, "a whole number from 1"),
        }
    }

    fn number(&mut self, name: &str, expected: &str) -> Option<serde_json::Number> {
        match self.take(name, None)? {
            Value::Number(number) => Some(number),
            other
            @ (Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                self.wrong_type(name, "number_type", expected, &other);
                None
            }
        }
    }

    fn whole(&mut self, name: &str, most: u64, expected: &str) -> Option<u64> {
        let number = self.number(name, expected)?;
        let whole = number.as_u64().or_else(|| whole_float(number.as_f64()?));
        match whole.filter(|whole| (1..=most).contains(whole)) {
            Some(whole) => Some(whole),
            None => {
                let what = format!("expected {expected}, found {number}");
                self.problem("input.out_of_range", "value_error", &[name], &what);
                None
            }
        }
    }

    fn seconds(&mut self, name: &str) -> Option<f64> {
        let number = self.number(name, "a number of seconds above 0")?;
        let seconds = number.as_f64().filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        if seconds.is_none() {
            let what = format!("expected a number of seconds above 0, found {number}");
            self.problem("input.out_of_range", "value_error", &[name], &what);
        }
        seconds
    }

    fn model(&mut self) -> Option<ModelRef> {
        let value = self.take("model", None)?;
        match ModelRef::from_value(&value, &FieldPath::root("job").member("model")) {
            Ok(model) => model,
            Err(error) => {
                self.bad_model(&error);
                None
            }
        }
    }

    fn bad_model(&mut self, error: &DefinitionError) {
        self.code.get_or_insert("input.bad_model");
        let loc = error.at().to_string().split('.').map(str::to_owned).collect();
        self.problems.push(Problem { kind: "value_error", loc, message: error.to_string() });
    }
}

/// `5.0` is what some languages write for 5.
fn whole_float(number: f64) -> Option<u64> {
    // 2^53: beyond that a double does not hold every whole number.
    let exact = number.fract() == 0.0 && (1.0..=9_007_199_254_740_992.0).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and between 1 and 2^53"
    )]
    exact.then_some(number as u64)
}
