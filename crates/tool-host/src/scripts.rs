//! The host for `TOOL_SCRIPTS=sandbox`: a definition's Python tools, each call in a process of its own.

mod answer;
mod launch;
mod pool;
mod settings;
mod state;

use std::sync::Arc;

use agent_executor_core::{Class, CustomTool, ScriptTool, ToolResult, ToolSpec};
use agent_telemetry::metric::TOOL_SCRIPT_RUNS;
use async_trait::async_trait;
use serde_json::json;
use tracing::{debug, warn};

use self::launch::{Outcome, Report};
use crate::{Invocation, ToolHost, ToolHostError};

pub use settings::{Confinement, ScriptLimits, ScriptSettings};

/// Runs Python tool scripts outside of this process, confined by the kernel.
///
/// Interpreters are started ahead, with the scripts of a definition loaded; each answers one call and is ended with
/// everything that it has started.
#[derive(Debug)]
pub struct ScriptHost {
    pool: Arc<pool::Pool>,
}

impl ScriptHost {
    /// A host with these settings. Interpreter and launcher are looked up when they are first needed.
    pub fn new(settings: ScriptSettings) -> Self {
        Self { pool: Arc::new(pool::Pool::new(settings)) }
    }

    /// Starts one interpreter and ends it again, to see whether scripts can be run as they must be.
    ///
    /// # Errors
    /// [`ToolHostError::NoSandbox`] where they cannot.
    pub async fn probe(&self) -> Result<(), ToolHostError> {
        self.pool.interpreter().await.map(drop)
    }
}

/// What may be assumed of a script's effects: the least, where it does not say.
fn class(tool: &ScriptTool) -> Class {
    match tool.effect.as_deref() {
        Some("pure") => Class::Pure,
        Some("idempotent") => Class::Idempotent,
        Some("at_most_once") | None => Class::AtMostOnce,
        Some(other) => {
            warn!(
                event = "definition_warning",
                code = "definition.unknown_effect",
                tool = tool.name,
                effect = other,
                "`effect`: expected `pure`, `idempotent` or `at_most_once`; the last one is assumed"
            );
            Class::AtMostOnce
        }
    }
}

#[async_trait]
impl ToolHost for ScriptHost {
    async fn describe(&self, tools: &[ScriptTool]) -> Result<Vec<(String, CustomTool)>, ToolHostError> {
        if tools.is_empty() {
            return Ok(Vec::new());
        }
        let scripts: Arc<[ScriptTool]> = tools.into();
        let warm = pool::Pool::start(&self.pool, &scripts).await?;
        let described = tools
            .iter()
            .zip(&warm.tools)
            .map(|(tool, seen)| {
                let spec = ToolSpec {
                    name: tool.name.clone(),
                    description: seen.description.clone(),
                    parameters: seen.parameters.clone(),
                };
                let return_direct = seen.return_direct;
                (tool.name.clone(), CustomTool { spec, class: class(tool), return_direct })
            })
            .collect();
        self.pool.keep(&scripts, warm);
        Ok(described)
    }

    async fn call(&self, tools: &Arc<[ScriptTool]>, call: Invocation, class: Class) -> Option<ToolResult> {
        let Some(index) = tools.iter().position(|tool| tool.name == call.tool) else {
            return Some(answer::failed(format!(
                "Error: the definition has no script called `{}`",
                call.tool
            )));
        };
        let _slot = self.pool.slot().await?;
        let warm = match pool::Pool::take(&self.pool, tools).await {
            Ok(warm) => warm,
            // Nothing of the call has run.
            Err(error) => {
                warn!(event = "tool_script_not_started", code = error.code(), tool = call.tool, %error);
                TOOL_SCRIPT_RUNS.with(&["not_started"]).increment(1);
                return Some(answer::failed(format!(
                    "Error: script `{}` was not started: {error}",
                    call.tool
                )));
            }
        };
        let needs = warm.tools.get(index).map(|tool| tool.needs.as_slice()).unwrap_or_default();
        let request = json!({
            "tool": index,
            "args": call.args,
            "call_id": call.call_id,
            "idempotency_key": call.idempotency_key,
            "state": state::given(&call.view, needs),
        });
        let limits = &self.pool.settings.limits;
        match warm.process.last(&request).await {
            Ok((report, reply)) => {
                let result = answer::from_report(&call.tool, &report, &reply, limits);
                tell(&call.tool, &report);
                Some(result)
            }
            // The launcher itself is lost, and with it what the script did before.
            Err(error) => {
                warn!(event = "tool_script_lost", code = "tool.script_lost", tool = call.tool, %error);
                TOOL_SCRIPT_RUNS.with(&["lost"]).increment(1);
                (class != Class::AtMostOnce)
                    .then(|| answer::failed(format!("Error: script `{}`: {error}", call.tool)))
            }
        }
    }
}

/// What a script prints may hold anything, so it is only told to those who ask for it.
fn tell(tool: &str, report: &Report) {
    TOOL_SCRIPT_RUNS.with(&[report.outcome.as_str()]).increment(1);
    if report.outcome != Outcome::Reply {
        let outcome = report.outcome.as_str();
        warn!(event = "tool_script_ended", code = "tool.script_ended", tool, outcome, detail = report.detail);
    }
    debug!(event = "tool_script_printed", tool, stdout = report.stdout, stderr = report.stderr);
}
