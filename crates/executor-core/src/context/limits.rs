//! An agent's settings and its model's profile, worked out once.

use super::settings::{ContextSettings, Size};
use crate::ModelRef;
use crate::profiles::{DEFAULT_ANTHROPIC_OUTPUT, ModelProfile};
use crate::tools::eviction;

/// A size in something that can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Tokens(u64),
    Messages(usize),
}

/// Shortening of arguments in old calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shorten {
    pub(crate) at: Bound,
    pub(crate) keep: Bound,
    pub(crate) chars: usize,
}

/// Replacing old messages by a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summarise {
    pub(crate) at: Bound,
    pub(crate) keep: Bound,
}

/// Everything that the context machinery must know of one agent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    /// Most tokens of a request that leaves room for the answer; `None`: nobody knows.
    pub(crate) budget: Option<u64>,
    /// Most tokens of a request.
    pub(crate) max_input: Option<u64>,
    pub(crate) max_output: Option<u32>,
    pub(crate) chars_per_token: f64,
    pub(crate) large_tool_result: usize,
    pub(crate) large_user_message: usize,
    pub(crate) shorten: Option<Shorten>,
    pub(crate) summarise: Option<Summarise>,
    pub(crate) summary_prompt: Option<String>,
    pub(crate) summary_model: Option<ModelRef>,
    pub(crate) prompt_caching: bool,
}

const LARGE_USER_MESSAGE: usize = 200_000;
const LONG_ARGUMENT: usize = 2_000;
/// Tokens kept free for what the count does not see.
const HEADROOM: f64 = 0.95;

impl Limits {
    pub(crate) fn of(settings: &ContextSettings, model: &ModelRef) -> Self {
        let anthropic = model.provider == "anthropic";
        let profile = ModelProfile::find(&model.provider, &model.model);
        let max_input = settings.max_input_tokens.or(profile.map(|profile| profile.max_input_tokens));
        // Anthropic is always told a limit, and what it is told counts against the window.
        let told = profile.and_then(|profile| profile.max_output_tokens).unwrap_or(DEFAULT_ANTHROPIC_OUTPUT);
        let reserve = settings.max_output_tokens.or(anthropic.then_some(told)).unwrap_or(0);
        let bound = |size: Option<Size>, fraction: f64, otherwise: Bound| match (size, max_input) {
            (Some(Size::Tokens(tokens)), _) => Bound::Tokens(tokens),
            (Some(Size::Messages(messages)), _) => Bound::Messages(messages),
            (Some(Size::Fraction(fraction)), Some(max)) => Bound::Tokens(part(max, fraction).max(1)),
            (None, Some(max)) => Bound::Tokens(part(max, fraction).max(1)),
            (Some(Size::Fraction(_)) | None, None) => otherwise,
        };
        let shorten = Shorten {
            at: bound(settings.truncate_arguments_at, 0.85, Bound::Messages(20)),
            keep: bound(settings.truncate_arguments_keep, 0.10, Bound::Messages(20)),
            chars: settings.truncate_arguments_chars.unwrap_or(LONG_ARGUMENT),
        };
        let summarise = Summarise {
            at: bound(settings.summarize_at, 0.85, Bound::Tokens(170_000)),
            keep: bound(settings.summarize_keep, 0.10, Bound::Messages(6)),
        };
        Self {
            budget: max_input.map(|max| part(max, HEADROOM).saturating_sub(u64::from(reserve))),
            max_input,
            max_output: settings.max_output_tokens,
            chars_per_token: if anthropic { 3.3 } else { 4.0 },
            large_tool_result: settings.large_tool_result_chars.unwrap_or(eviction::LARGE_RESULT),
            large_user_message: settings.large_user_message_chars.unwrap_or(LARGE_USER_MESSAGE),
            shorten: settings.truncate_arguments.unwrap_or(true).then_some(shorten),
            summarise: settings.summarize.unwrap_or(true).then_some(summarise),
            summary_prompt: settings.summary_prompt.clone(),
            summary_model: settings.summary_model.clone(),
            prompt_caching: settings.prompt_caching.unwrap_or(true),
        }
    }
}

/// `int(max * fraction)` in Python's arithmetic.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "token counts are far below 2^53, and neither factor is negative"
)]
fn part(max: u64, fraction: f64) -> u64 {
    (max as f64 * fraction) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(provider: &str, model: &str, settings: &ContextSettings) -> Limits {
        Limits::of(settings, &ModelRef { provider: provider.to_owned(), model: model.to_owned() })
    }

    #[test]
    fn thresholds_follow_the_profile() {
        let plain = ContextSettings::default();
        let mini = limits("openai", "gpt-4o-mini", &plain);
        assert_eq!(mini.summarise.unwrap().at, Bound::Tokens(108_800));
        assert_eq!(mini.summarise.unwrap().keep, Bound::Tokens(12_800));
        assert_eq!(mini.budget, Some(121_600), "nothing is kept free for OpenAI");
        let sonnet = limits("anthropic", "claude-sonnet-4-5", &plain);
        assert_eq!(sonnet.summarise.unwrap().at, Bound::Tokens(170_000));
        assert_eq!(sonnet.budget, Some(126_000));
        let unknown = limits("ollama", "llama3", &plain);
        assert_eq!(
            unknown.summarise.unwrap(),
            Summarise { at: Bound::Tokens(170_000), keep: Bound::Messages(6) }
        );
        assert_eq!((unknown.budget, unknown.shorten.unwrap().at), (None, Bound::Messages(20)));
    }

    #[test]
    fn a_definition_has_the_last_word() {
        let settings = ContextSettings {
            max_input_tokens: Some(9_000),
            max_output_tokens: Some(1_000),
            summarize_at: Some(Size::Fraction(0.5)),
            summarize_keep: Some(Size::Messages(3)),
            truncate_arguments: Some(false),
            ..ContextSettings::default()
        };
        let own = limits("ollama", "llama3", &settings);
        assert_eq!(own.summarise.unwrap(), Summarise { at: Bound::Tokens(4_500), keep: Bound::Messages(3) });
        assert_eq!((own.budget, own.shorten), (Some(7_550), None));
        let no_window = ContextSettings { max_input_tokens: None, ..settings };
        assert_eq!(limits("ollama", "llama3", &no_window).summarise.unwrap().at, Bound::Tokens(170_000));
    }
}
