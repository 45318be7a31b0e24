//! What the calls of a run leave in its job's trace and in the metrics.

use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::{JobRecord, Lease};
use agent_executor_core::{Emission, ModelError, ModelReply, ModelRequest, StreamEvent};
use agent_langgraph_codec::ToolStatus;
use agent_telemetry::metric;
use agent_telemetry::traces::{Chat, JobSpan, JobTrace, Origin, ToolCall};
use agent_wire::TraceContext;

/// Begins the span of work on a job that is worked on for so long already.
pub(crate) fn begin(trace: &TraceContext, lease: &Lease, job: &JobRecord, since: Duration) -> Arc<JobTrace> {
    let job = JobSpan { job_id: &job.job_id, thread_id: &job.thread_id, epoch: lease.epoch, since };
    let origin = Origin {
        trace_id: &trace.trace_id,
        parent_span: trace.parent_span,
        sampled: trace.sampled,
        tracestate: trace.tracestate.as_deref(),
    };
    Arc::new(JobTrace::begin(origin, job))
}

/// A model call that is over.
pub(crate) fn chat(
    trace: &JobTrace,
    request: &ModelRequest,
    agent: Option<&str>,
    attempt: u32,
    took: Duration,
    reply: &Result<ModelReply, ModelError>,
) {
    let error = reply.as_ref().err().map(|error| format!("{:?}", error.kind));
    let usage = reply.as_ref().ok().and_then(|reply| reply.usage.as_ref());
    let chat = Chat {
        provider: request.model.provider.as_str(),
        model: &request.model.model,
        agent,
        tokens: usage.map(|usage| (usage.input_tokens, usage.output_tokens)),
        attempt,
        error: error.as_deref(),
    };
    trace.chat(chat, took);
}

/// The tool calls whose end these events tell of.
pub(crate) fn tools<'a>(trace: &JobTrace, events: impl IntoIterator<Item = &'a Emission>) {
    for emission in events {
        if let StreamEvent::ToolEnd { id, name, status, duration_ms, .. } = &emission.event {
            let agent = emission.label.as_ref().map(|label| &*label.agent);
            let failed = *status == ToolStatus::Error;
            trace.tool(ToolCall { name, id, agent, failed }, Duration::from_millis(*duration_ms));
            let status = if failed { "error" } else { "success" };
            metric::TOOL_CALLS.with(&[counted_as(name), status]).increment(1);
        }
    }
}

/// The tool's name as a label. All that a definition or a model made up share one, so that their number is bounded.
fn counted_as(tool: &str) -> &str {
    let built_in = metric::TOOL_CALLS.0.labels.first().is_some_and(|label| label.known.contains(&tool));
    if built_in { tool } else { "custom" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_built_in_tools_are_counted_under_their_names() {
        for tool in agent_executor_core::tools::BUILT_IN {
            assert_eq!(counted_as(tool.name), tool.name);
        }
        assert_eq!(counted_as("task"), "task");
        for other in ["pre_work", "Write_File", "no such tool", ""] {
            assert_eq!(counted_as(other), "custom");
        }
    }
}
