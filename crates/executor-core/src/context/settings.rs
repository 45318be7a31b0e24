//! What a definition may say about its agents' context.

use crate::ModelRef;

/// A part of a conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// Of the model's largest request, 0 to 1. Where that is not known the default for such models applies.
    Fraction(f64),
    /// Tokens.
    Tokens(u64),
    /// Messages.
    Messages(usize),
}

/// `context` of a definition or of one agent. A member that is `None` was not given: the definition's stands for the
/// agent's, and the default for both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContextSettings {
    /// Most tokens of a request; else the model's profile.
    pub max_input_tokens: Option<u64>,
    /// Most tokens of an answer: sent with every request and kept free in the context window.
    pub max_output_tokens: Option<u32>,
    /// Tool results with more characters are moved to a file (80,000). `usize::MAX`: never.
    pub large_tool_result_chars: Option<usize>,
    /// User messages with more characters are moved to a file (200,000). `usize::MAX`: never.
    pub large_user_message_chars: Option<usize>,
    /// Whether long arguments of old calls are shortened (true).
    pub truncate_arguments: Option<bool>,
    /// From which size of the conversation on (0.85 of the window, else 20 messages).
    pub truncate_arguments_at: Option<Size>,
    /// How much at the end is left alone (0.1 of the window, else 20 messages).
    pub truncate_arguments_keep: Option<Size>,
    /// Longest argument that stays whole (2,000 characters).
    pub truncate_arguments_chars: Option<usize>,
    /// Whether old messages are replaced by a summary (true).
    pub summarize: Option<bool>,
    /// From which size of the conversation on (0.85 of the window, else 170,000 tokens).
    pub summarize_at: Option<Size>,
    /// How much at the end stays as it is (0.1 of the window, else 6 messages).
    pub summarize_keep: Option<Size>,
    /// What the model is told, with `{messages}` where the messages go.
    pub summary_prompt: Option<String>,
    /// Who writes the summary; else the agent's own model.
    pub summary_model: Option<ModelRef>,
    /// Whether the provider may keep the prefix between requests (true; Anthropic).
    pub prompt_caching: Option<bool>,
}

impl ContextSettings {
    /// These, with `base` for what they leave open.
    #[must_use]
    pub fn over(self, base: &Self) -> Self {
        Self {
            max_input_tokens: self.max_input_tokens.or(base.max_input_tokens),
            max_output_tokens: self.max_output_tokens.or(base.max_output_tokens),
            large_tool_result_chars: self.large_tool_result_chars.or(base.large_tool_result_chars),
            large_user_message_chars: self.large_user_message_chars.or(base.large_user_message_chars),
            truncate_arguments: self.truncate_arguments.or(base.truncate_arguments),
            truncate_arguments_at: self.truncate_arguments_at.or(base.truncate_arguments_at),
            truncate_arguments_keep: self.truncate_arguments_keep.or(base.truncate_arguments_keep),
            truncate_arguments_chars: self.truncate_arguments_chars.or(base.truncate_arguments_chars),
            summarize: self.summarize.or(base.summarize),
            summarize_at: self.summarize_at.or(base.summarize_at),
            summarize_keep: self.summarize_keep.or(base.summarize_keep),
            summary_prompt: self.summary_prompt.or_else(|| base.summary_prompt.clone()),
            summary_model: self.summary_model.or_else(|| base.summary_model.clone()),
            prompt_caching: self.prompt_caching.or(base.prompt_caching),
        }
    }
}
