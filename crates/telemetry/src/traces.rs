//! One trace from the publisher's span to the result event, exported by OTLP over HTTP (protobuf).
//!
//! Span names and attributes follow OpenTelemetry's semantic conventions for generative AI: `invoke_agent`, `chat`,
//! `execute_tool`. Spans are recorded when what they tell of is over, with its own times; a job taken over by another
//! worker goes on in the same trace with a further `invoke_agent` span. Without [`install`] all of this does nothing.

mod exporter;
mod ids;

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, KeyValue};

pub use exporter::{Traces, TracesError, TracesOptions, install};

/// Where a job's trace begins.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// 32 hex digits.
    pub trace_id: &'a str,
    /// The publisher's span, where one is known.
    pub parent_span: Option<u64>,
    /// Whether the publisher records this trace.
    pub sampled: bool,
    /// As it came with the job.
    pub tracestate: Option<&'a str>,
}

/// Who works on what.
#[derive(Debug, Clone, Copy)]
pub struct JobSpan<'a> {
    /// The job.
    pub job_id: &'a str,
    /// The conversation.
    pub thread_id: &'a str,
    /// Rises with every worker that takes the job.
    pub epoch: i64,
    /// For how long it is worked on already.
    pub since: Duration,
}

/// A model call that is over.
#[derive(Debug, Clone, Copy)]
pub struct Chat<'a> {
    /// `openai`, `anthropic`, …
    pub provider: &'a str,
    /// Name of the model that was asked for.
    pub model: &'a str,
    /// The sub-agent that asked; `None`: the orchestrator.
    pub agent: Option<&'a str>,
    /// Tokens of the request and of the answer, where the provider said so.
    pub tokens: Option<(u64, u64)>,
    /// Which try of this call it was, from 1.
    pub attempt: u32,
    /// What went wrong: a short, stable word.
    pub error: Option<&'a str>,
}

/// A tool call that is over.
#[derive(Debug, Clone, Copy)]
pub struct ToolCall<'a> {
    /// Name of the tool.
    pub name: &'a str,
    /// Id of the call.
    pub id: &'a str,
    /// The sub-agent that called; `None`: the orchestrator.
    pub agent: Option<&'a str>,
    /// Whether the model was given an error.
    pub failed: bool,
}

/// A job's place in its trace. Ends with [`JobTrace::end`], or with the value.
#[derive(Debug, Default)]
pub struct JobTrace(Option<Context>);

impl JobTrace {
    /// Begins the span of work on a job. Does nothing where traces go nowhere.
    pub fn begin(origin: Origin<'_>, job: JobSpan<'_>) -> Self {
        let Some(tracer) = exporter::tracer() else { return Self(None) };
        let parent = remote(origin);
        let now = SystemTime::now();
        let builder = tracer
            .span_builder("invoke_agent")
            .with_kind(SpanKind::Consumer)
            .with_start_time(now.checked_sub(job.since).unwrap_or(now))
            .with_attributes([
                KeyValue::new("gen_ai.operation.name", "invoke_agent"),
                KeyValue::new("gen_ai.conversation.id", job.thread_id.to_owned()),
                KeyValue::new("agent_executor.job.id", job.job_id.to_owned()),
                KeyValue::new("agent_executor.lease.epoch", job.epoch),
            ]);
        let span = match &parent {
            Some(parent) => builder.start_with_context(tracer, parent),
            // A trace that begins with this job, under the id that the job brings.
            None => {
                ids::with_trace_id(origin.trace_id, || builder.start_with_context(tracer, &Context::new()))
            }
        };
        Self(Some(Context::new().with_span(span)))
    }

    /// The orchestrator's name, once the definition was read.
    pub fn agent(&self, name: &str) {
        let Some(context) = &self.0 else { return };
        context.span().update_name(format!("invoke_agent {name}"));
        context.span().set_attribute(KeyValue::new("gen_ai.agent.name", name.to_owned()));
    }

    /// The span's id, for the event that tells of the job's end.
    pub fn span_id(&self) -> Option<u64> {
        let context = self.0.as_ref()?;
        let id = context.span().span_context().span_id();
        Some(u64::from_be_bytes(id.to_bytes())).filter(|id| *id != 0)
    }

    /// Records a model call that took so long and is over now.
    pub fn chat(&self, chat: Chat<'_>, took: Duration) {
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.provider.name", chat.provider.to_owned()),
            KeyValue::new("gen_ai.request.model", chat.model.to_owned()),
            KeyValue::new("agent_executor.attempt", i64::from(chat.attempt)),
        ];
        if let Some((input, output)) = chat.tokens {
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("gen_ai.usage.input_tokens", number(input)));
            attributes.push(KeyValue::new("gen_ai.usage.output_tokens", number(output)));
        }
        attributes.extend(agent(chat.agent));
        self.record(format!("chat {}", chat.model), SpanKind::Client, attributes, took, chat.error);
    }

    /// Records a tool call that took so long and is over now.
    pub fn tool(&self, call: ToolCall<'_>, took: Duration) {
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", "execute_tool"),
            KeyValue::new("gen_ai.tool.name", call.name.to_owned()),
            KeyValue::new("gen_ai.tool.call.id", call.id.to_owned()),
        ];
        attributes.extend(agent(call.agent));
        let error = call.failed.then_some("tool_error");
        self.record(format!("execute_tool {}", call.name), SpanKind::Internal, attributes, took, error);
    }

    /// Ends the span; `error` is the code of a job that failed, or why the work ends here without its end.
    pub fn end(&self, error: Option<&str>) {
        let Some(context) = &self.0 else { return };
        let span = context.span();
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error.to_owned()));
            span.set_status(Status::error(error.to_owned()));
        }
        span.end();
    }

    fn record(
        &self,
        name: String,
        kind: SpanKind,
        mut attributes: Vec<KeyValue>,
        took: Duration,
        error: Option<&str>,
    ) {
        let (Some(context), Some(tracer)) = (&self.0, exporter::tracer()) else { return };
        let now = SystemTime::now();
        if let Some(error) = error {
            attributes.push(KeyValue::new("error.type", error.to_owned()));
        }
        let mut span = tracer
            .span_builder(name)
            .with_kind(kind)
            .with_start_time(now.checked_sub(took).unwrap_or(now))
            .with_attributes(attributes)
            .start_with_context(tracer, context);
        if let Some(error) = error {
            span.set_status(Status::error(error.to_owned()));
        }
        span.end_with_timestamp(now);
    }
}

fn agent(name: Option<&str>) -> Option<KeyValue> {
    name.map(|name| KeyValue::new("gen_ai.agent.name", name.to_owned()))
}

/// The publisher's span; `None` where it named none.
fn remote(origin: Origin<'_>) -> Option<Context> {
    let trace = TraceId::from_hex(origin.trace_id).ok()?;
    let span = SpanId::from(origin.parent_span?);
    let flags = if origin.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let state = origin.tracestate.and_then(|text| text.parse::<TraceState>().ok()).unwrap_or_default();
    let context = SpanContext::new(trace, span, flags, true, state);
    context.is_valid().then(|| Context::new().with_remote_span_context(context))
}
