//! Every provider, once. A new one is a file here that implements [`Codec`], and a line in [`PROVIDERS`].

mod anthropic;
mod openai_chat;
mod openai_responses;

use serde_json::Value;

use crate::{
    codec::Codec,
    config::{KeyHeader, OpenAiApi},
};

/// What the transport must know of a provider before it is configured.
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) base_url: &'static str,
    /// The vendor answers nobody without a key; a server of one's own may.
    pub(crate) needs_key: bool,
    pub(crate) key_header: KeyHeader,
    /// Headers that go with every request, unless configured otherwise.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// The codec; `true` where one of the definition's models exists on OpenAI's Responses API only.
    pub(crate) codec: fn(OpenAiApi, bool) -> &'static dyn Codec,
}

static OPENAI_CHAT: openai_chat::ChatCompletions =
    openai_chat::ChatCompletions { provider: "openai", vendor: true };
static OLLAMA_CHAT: openai_chat::ChatCompletions =
    openai_chat::ChatCompletions { provider: "ollama", vendor: false };

pub(crate) const PROVIDERS: &[Provider] = &[
    Provider {
        name: "openai",
        base_url: "https://api.openai.com/v1",
        needs_key: true,
        key_header: KeyHeader::Bearer,
        headers: &[],
        codec: |api, responses_only| match (api, responses_only) {
            (OpenAiApi::Responses, _) | (OpenAiApi::Auto, true) => &openai_responses::Responses,
            (OpenAiApi::Chat, _) | (OpenAiApi::Auto, false) => &OPENAI_CHAT,
        },
    },
    Provider {
        name: "anthropic",
        base_url: "https://api.anthropic.com",
        needs_key: true,
        key_header: KeyHeader::XApiKey,
        // The version that every feature used here needs at least; a setting, because vendors move on.
        headers: &[("anthropic-version", "2023-06-01")],
        codec: |_, _| &anthropic::Messages,
    },
    Provider {
        name: "ollama",
        base_url: "http://127.0.0.1:11434/v1",
        needs_key: false,
        key_header: KeyHeader::Bearer,
        headers: &[],
        codec: |_, _| &OLLAMA_CHAT,
    },
];

/// Whether the system prompt of this model goes out in the role `developer`: `o1`, `o3-mini`, …
fn is_o_series(model: &str) -> bool {
    let mut letters = model.bytes();
    letters.next() == Some(b'o') && letters.next().is_some_and(|letter| letter.is_ascii_digit())
}

/// OpenAI's error body: `{"error": {"message", "type", "code"}}`; some servers put a string there.
fn openai_error(body: &Value) -> Option<String> {
    let error = body.get("error").or_else(|| body.get("response")?.get("error")).unwrap_or(body);
    let message = error.as_str().or_else(|| error.get("message")?.as_str())?;
    Some(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_o_series_calls_its_system_developer() {
        for (name, developer) in
            [("o1", true), ("o3-mini", true), ("omni", false), ("gpt-4o", false), ("", false)]
        {
            assert_eq!(is_o_series(name), developer, "{name}");
        }
    }
}
