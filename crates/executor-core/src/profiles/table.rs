//! The table. One line a model.

use super::ModelProfile;

/// What a model takes beside text.
type Media = [bool; 2];
const ALL: Media = [true, true];
const NO_IMAGES: Media = [false, true];
const TEXT_ONLY: Media = [false, false];

const fn profile(
    max_input_tokens: u64,
    max_output_tokens: Option<u32>,
    [images, documents]: Media,
) -> ModelProfile {
    ModelProfile { max_input_tokens, max_output_tokens, images, documents }
}

/// Provider, name, profile.
pub(super) const PROFILES: &[(&str, &str, ModelProfile)] = &[
    ("openai", "gpt-3.5-turbo", profile(16_385, Some(4_096), TEXT_ONLY)),
    ("openai", "gpt-4", profile(8_192, Some(8_192), NO_IMAGES)),
    ("openai", "gpt-4-turbo", profile(128_000, Some(4_096), ALL)),
    ("openai", "gpt-4.1", profile(1_047_576, Some(32_768), ALL)),
    ("openai", "gpt-4.1-mini", profile(1_047_576, Some(32_768), ALL)),
    ("openai", "gpt-4.1-nano", profile(1_047_576, Some(32_768), ALL)),
    ("openai", "gpt-4o", profile(128_000, Some(16_384), ALL)),
    ("openai", "gpt-4o-2024-05-13", profile(128_000, Some(4_096), ALL)),
    ("openai", "gpt-4o-2024-08-06", profile(128_000, Some(16_384), ALL)),
    ("openai", "gpt-4o-2024-11-20", profile(128_000, Some(16_384), ALL)),
    ("openai", "gpt-4o-mini", profile(128_000, Some(16_384), ALL)),
    ("openai", "gpt-5", profile(272_000, Some(128_000), ALL)),
    ("openai", "gpt-5-chat-latest", profile(272_000, None, ALL)),
    ("openai", "gpt-5-codex", profile(272_000, None, ALL)),
    ("openai", "gpt-5-mini", profile(272_000, Some(128_000), ALL)),
    ("openai", "gpt-5-nano", profile(272_000, Some(128_000), ALL)),
    ("openai", "gpt-5-pro", profile(272_000, Some(272_000), ALL)),
    ("openai", "gpt-5.1", profile(272_000, Some(128_000), ALL)),
    ("openai", "gpt-5.1-chat-latest", profile(272_000, None, ALL)),
    ("openai", "gpt-5.1-codex", profile(272_000, None, ALL)),
    ("openai", "gpt-5.1-codex-max", profile(272_000, None, ALL)),
    ("openai", "gpt-5.1-codex-mini", profile(272_000, None, ALL)),
    ("openai", "gpt-5.2", profile(272_000, Some(128_000), ALL)),
    ("openai", "gpt-5.2-chat-latest", profile(272_000, None, ALL)),
    ("openai", "gpt-5.2-pro", profile(272_000, Some(128_000), ALL)),
    ("openai", "gpt-5.3-codex", profile(400_000, Some(128_000), ALL)),
    ("openai", "gpt-5.3-codex-spark", profile(128_000, Some(32_000), ALL)),
    ("openai", "gpt-5.4", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-5.4-mini", profile(400_000, Some(128_000), ALL)),
    ("openai", "gpt-5.4-nano", profile(400_000, Some(128_000), ALL)),
    ("openai", "gpt-5.4-pro", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-5.5", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-5.5-pro", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-5.6", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-5.6-luna", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-5.6-sol", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-5.6-terra", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-6-astra", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-6-luna", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-6-sol", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-6.1-sol", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-6.1-terra", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-daybreak-blue-latest", profile(1_050_000, Some(128_000), ALL)),
    ("openai", "gpt-daybreak-red-latest", profile(400_000, Some(128_000), ALL)),
    ("openai", "o1", profile(200_000, Some(100_000), ALL)),
    ("openai", "o1-pro", profile(200_000, Some(100_000), ALL)),
    ("openai", "o3", profile(200_000, Some(100_000), ALL)),
    ("openai", "o3-mini", profile(200_000, Some(100_000), NO_IMAGES)),
    ("openai", "o3-pro", profile(200_000, Some(100_000), ALL)),
    ("openai", "o4-mini", profile(200_000, Some(100_000), ALL)),
    ("anthropic", "claude-fable-5", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-fable-5-1", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-haiku-4-5", profile(200_000, Some(64_000), ALL)),
    ("anthropic", "claude-haiku-4-5-20251001", profile(200_000, Some(64_000), ALL)),
    ("anthropic", "claude-haiku-5-5", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-opus-4-5", profile(200_000, Some(64_000), ALL)),
    ("anthropic", "claude-opus-4-5-20251101", profile(200_000, Some(64_000), ALL)),
    ("anthropic", "claude-opus-4-6", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-opus-4-7", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-opus-4-8", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-opus-5", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-opus-5-5", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-sonnet-4-5", profile(200_000, Some(64_000), ALL)),
    ("anthropic", "claude-sonnet-4-5-20250929", profile(200_000, Some(64_000), ALL)),
    ("anthropic", "claude-sonnet-4-6", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-sonnet-5", profile(1_000_000, Some(128_000), ALL)),
    ("anthropic", "claude-sonnet-5-5", profile(1_000_000, Some(128_000), ALL)),
];
