//! What the job has spent over all its agents, and whether one more model call is within its budget.
//!
//! The sums stand in the metadata of every checkpoint that the job puts, in whichever namespace: the greatest of them
//! is what was spent before a take-over.

use agent_langgraph_codec::{Metadata, Rows};
use serde_json::Value;

use super::{Failure, JOB_TAG, Phase, Run};
use crate::Usage;
use crate::effect::AgentId;

const CALLS_TAG: &str = "agent_executor_model_calls";
const INPUT_TAG: &str = "agent_executor_input_tokens";
const OUTPUT_TAG: &str = "agent_executor_output_tokens";

impl Run {
    /// Counts a model call that was answered, and notes the sums for the agent's next checkpoint.
    pub(super) fn count_call(&mut self, id: AgentId, usage: Option<Usage>) {
        self.model_calls += 1;
        if let Some(usage) = usage {
            self.usage.input_tokens = self.usage.input_tokens.saturating_add(usage.input_tokens);
            self.usage.output_tokens = self.usage.output_tokens.saturating_add(usage.output_tokens);
        }
        let sums = [
            (CALLS_TAG, self.model_calls),
            (INPUT_TAG, self.usage.input_tokens),
            (OUTPUT_TAG, self.usage.output_tokens),
        ];
        let Some(agent) = self.agents.get_mut(&id) else { return };
        for (key, sum) in sums {
            agent.graph.tag(key, Value::from(sum));
        }
    }

    /// Takes up the sums of the job's checkpoints.
    pub(super) fn count_stored(&mut self, rows: &Rows) {
        // Most rows of a long thread are other jobs'; the text tells without reading them.
        let mine = rows.checkpoints.iter().filter(|row| row.metadata.contains(&*self.setup.job_id));
        for metadata in mine.filter_map(|row| Metadata::from_json(&row.metadata).ok()) {
            if metadata.extra.get(JOB_TAG).and_then(Value::as_str) != Some(&*self.setup.job_id) {
                continue;
            }
            let sum = |key: &str| metadata.extra.get(key).and_then(Value::as_u64).unwrap_or(0);
            self.model_calls = self.model_calls.max(sum(CALLS_TAG));
            self.usage.input_tokens = self.usage.input_tokens.max(sum(INPUT_TAG));
            self.usage.output_tokens = self.usage.output_tokens.max(sum(OUTPUT_TAG));
        }
    }

    /// Whether one more model call fits the job's budget.
    pub(super) fn budget(&self) -> Result<(), Failure> {
        let limits = &self.setup.limits;
        let spent = self.usage.input_tokens.saturating_add(self.usage.output_tokens);
        let asking =
            self.agents.values().filter(|a| matches!(a.phase, Phase::AwaitingModel { .. })).count() as u64;
        let message = if limits.max_model_calls.is_some_and(|max| self.model_calls + asking >= max) {
            format!("the job's budget of {} model calls is spent", limits.max_model_calls.unwrap_or_default())
        } else if limits.max_tokens.is_some_and(|max| spent >= max) {
            format!("the job's budget of {} tokens is spent", limits.max_tokens.unwrap_or_default())
        } else {
            return Ok(());
        };
        Err(Failure { kind: "BudgetExceeded", code: "job.budget", message })
    }
}
