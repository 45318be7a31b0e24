//! What is known of models by their names, as the Python packages ship it. Sizes are tokens.

/// Limits of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Most tokens of a request.
    pub max_input_tokens: u64,
    /// Most tokens of an answer.
    pub max_output_tokens: u32,
}

const fn profile(max_input_tokens: u64, max_output_tokens: u32) -> Profile {
    Profile { max_input_tokens, max_output_tokens }
}

/// Output of Anthropic models without a profile.
pub const DEFAULT_ANTHROPIC_OUTPUT: u32 = 4096;

/// Models that exist on the Responses API only.
const RESPONSES_ONLY: &[&str] = &["gpt-5-pro"];

const PROFILES: &[(&str, &str, Profile)] = &[
    ("openai", "gpt-4o", profile(128_000, 16_384)),
    ("openai", "gpt-4o-mini", profile(128_000, 16_384)),
    ("openai", "gpt-4.1", profile(1_047_576, 32_768)),
    ("openai", "gpt-4.1-mini", profile(1_047_576, 32_768)),
    ("openai", "gpt-5", profile(272_000, 128_000)),
    ("openai", "gpt-5-mini", profile(272_000, 128_000)),
    ("openai", "o3", profile(200_000, 100_000)),
    ("anthropic", "claude-sonnet-4-5", profile(200_000, 64_000)),
    ("anthropic", "claude-haiku-4-5", profile(200_000, 64_000)),
    ("anthropic", "claude-opus-4-7", profile(1_000_000, 128_000)),
];

/// The profile of a model; a date at the end of its name (`-20250929`, `-2024-08-06`) is looked over.
pub fn find(provider: &str, model: &str) -> Option<Profile> {
    let model = undated(model);
    PROFILES.iter().find(|(p, m, _)| *p == provider && *m == model).map(|(_, _, profile)| *profile)
}

/// Whether OpenAI offers this model through the Responses API only.
pub fn responses_only(model: &str) -> bool {
    let model = undated(model);
    RESPONSES_ONLY.contains(&model) || model.split('-').any(|word| word == "codex")
}

/// Whether the system prompt of this model goes out in the role `developer`: `o1`, `o3-mini`, …
pub(crate) fn is_o_series(model: &str) -> bool {
    let mut letters = model.bytes();
    letters.next() == Some(b'o') && letters.next().is_some_and(|letter| letter.is_ascii_digit())
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
        for (provider, name, output) in [
            ("openai", "gpt-4o", 16_384),
            ("openai", "gpt-4o-2024-08-06", 16_384),
            ("openai", "gpt-4.1-2025-04-14", 32_768),
            ("anthropic", "claude-sonnet-4-5", 64_000),
            ("anthropic", "claude-sonnet-4-5-20250929", 64_000),
        ] {
            assert_eq!(find(provider, name).map(|p| p.max_output_tokens), Some(output), "{name}");
        }
        for (provider, name) in
            [("openai", "gpt-4o-audio"), ("anthropic", "gpt-4o"), ("openai", "12345678"), ("openai", "")]
        {
            assert_eq!(find(provider, name), None, "{name}");
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
        for (name, developer) in [("o1", true), ("o3-mini", true), ("omni", false), ("gpt-4o", false)] {
            assert_eq!(is_o_series(name), developer, "{name}");
        }
    }
}
