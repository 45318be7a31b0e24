//! What is known of models by their names. Sizes are tokens.
//!
//! Source: the data files of langchain-openai 1.7.3 and langchain-anthropic 1.7.7 (MIT), models that chat. A definition
//! overrides them (`context.max_input_tokens`).

pub(crate) mod guidance;
mod table;

/// Limits of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelProfile {
    /// Most tokens of a request.
    pub max_input_tokens: u64,
    /// Most tokens of an answer, where it is known.
    pub max_output_tokens: Option<u32>,
    /// Whether it takes pictures.
    pub images: bool,
    /// Whether it takes documents.
    pub documents: bool,
}

/// Most tokens of an answer that Anthropic is told for models without a profile: it wants to be told some number.
pub const DEFAULT_ANTHROPIC_OUTPUT: u32 = 4_096;

/// Models that exist on OpenAI's Responses API only.
const RESPONSES_ONLY: &[&str] = &["gpt-5-pro"];

impl ModelProfile {
    /// The profile of a model; a date at the end of a name that is not listed (`-20250929`, `-2024-07-18`) is looked
    /// over.
    pub fn find(provider: &str, model: &str) -> Option<Self> {
        let named = |name: &str| {
            let mut rows = table::PROFILES.iter();
            rows.find(|(p, m, _)| *p == provider && *m == name).map(|(_, _, profile)| *profile)
        };
        named(model).or_else(|| named(undated(model)))
    }
}

/// Whether OpenAI offers this model through the Responses API only.
pub fn responses_only(model: &str) -> bool {
    let model = undated(model);
    RESPONSES_ONLY.contains(&model) || model.split('-').any(|word| word == "codex")
}

fn undated(model: &str) -> &str {
    let is_date = |text: &str| text.len() == 8 && text.bytes().all(|letter| letter.is_ascii_digit());
    if let Some((name, date)) = model.rsplit_once('-')
        && is_date(date)
    {
        return name;
    }
    let mut pieces = model.rsplitn(4, '-');
    if let (Some(day), Some(month), Some(year), Some(name)) =
        (pieces.next(), pieces.next(), pieces.next(), pieces.next())
        && is_date(&format!("{year}{month}{day}"))
    {
        return name;
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_does_not_hide_a_model() {
        for (provider, name, input, output) in [
            ("openai", "gpt-4o", 128_000, 16_384),
            ("openai", "gpt-4o-2024-05-13", 128_000, 4_096),
            ("openai", "gpt-4o-mini-2024-07-18", 128_000, 16_384),
            ("openai", "gpt-4.1-2025-04-14", 1_047_576, 32_768),
            ("anthropic", "claude-sonnet-4-5", 200_000, 64_000),
            ("anthropic", "claude-sonnet-4-5-20250929", 200_000, 64_000),
        ] {
            let found = ModelProfile::find(provider, name).map(|p| (p.max_input_tokens, p.max_output_tokens));
            assert_eq!(found, Some((input, Some(output))), "{name}");
        }
        for (provider, name) in
            [("openai", "gpt-4o-audio"), ("anthropic", "gpt-4o"), ("openai", "12345678"), ("openai", "")]
        {
            assert_eq!(ModelProfile::find(provider, name), None, "{name}");
        }
    }

    #[test]
    fn only_pro_and_codex_models_force_the_responses_api() {
        for (name, forced) in [
            ("gpt-5-pro", true),
            ("gpt-5.1-codex", true),
            ("gpt-5-codex-mini", true),
            ("o1-pro", false),
            ("gpt-5", false),
        ] {
            assert_eq!(responses_only(name), forced, "{name}");
        }
    }
}
