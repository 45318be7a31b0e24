//! One configured provider: its address, its headers, and what was learned about its server.

use std::sync::atomic::{AtomicBool, Ordering};

use agent_executor_core::profiles::responses_only;
use agent_executor_core::{ModelError, ModelErrorKind, ModelRequest};
use reqwest::{
    Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};

use super::{breaker::Breaker, failure};
use crate::{
    codec::Codec,
    config::{BreakerPolicy, ConfigError, KeyHeader, OpenAiApi, ProviderConfig},
    providers::{PROVIDERS, Provider},
};

pub(super) struct Endpoint {
    pub(super) name: String,
    provider: &'static Provider,
    base: Url,
    headers: HeaderMap,
    key: Option<SecretString>,
    api: OpenAiApi,
    /// The server refused `stream_options` once: it is not asked for usage again.
    silent_on_usage: AtomicBool,
    pub(super) breaker: Breaker,
}

impl Endpoint {
    pub(super) fn new(
        name: String,
        config: ProviderConfig,
        breaker: BreakerPolicy,
    ) -> Result<Self, ConfigError> {
        let Some(provider) = PROVIDERS.iter().find(|provider| provider.name == name) else {
            let known = PROVIDERS.iter().map(|provider| provider.name).collect::<Vec<_>>().join(", ");
            return Err(ConfigError::UnknownProvider { name, known });
        };
        let base = base_url(&name, &config.base_url)?;
        let headers = headers(&name, &config)?;
        Ok(Self {
            name,
            provider,
            base,
            headers,
            key: config.api_key,
            api: config.api,
            silent_on_usage: AtomicBool::new(false),
            breaker: Breaker::new(breaker),
        })
    }

    /// The codec for a request. The machine says what its whole definition needs; a request from elsewhere is judged
    /// by its own model.
    pub(super) fn codec(&self, request: &ModelRequest) -> &'static dyn Codec {
        let responses = request.options.responses_api || responses_only(&request.model.model);
        (self.provider.codec)(self.api, responses)
    }

    pub(super) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// The base URL with the codec's path; a version that the base already ends with is not repeated.
    pub(super) fn url(&self, codec: &dyn Codec) -> Url {
        self.path(codec.path())
    }

    /// Where the provider lists its models.
    pub(super) fn models_url(&self) -> Url {
        self.path("v1/models")
    }

    fn path(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        let rest = if base.ends_with("/v1") { path.strip_prefix("v1/").unwrap_or(path) } else { path };
        url.set_path(&format!("{base}/{rest}"));
        url
    }

    pub(super) fn asks_usage(&self) -> bool {
        !self.silent_on_usage.load(Ordering::Relaxed)
    }

    pub(super) fn stop_asking_usage(&self) {
        self.silent_on_usage.store(true, Ordering::Relaxed);
    }

    /// The vendor's own server without a key: a sentence that says what is missing beats its 401.
    pub(super) fn missing_key(&self) -> Option<ModelError> {
        let vendor = self.provider.needs_key
            && self.key.is_none()
            && Url::parse(self.provider.base_url).is_ok_and(|url| url.host_str() == self.base.host_str());
        vendor.then(|| {
            failure::plain(
                ModelErrorKind::Auth,
                format!("no API key is configured for provider `{}`", self.name),
            )
        })
    }

    /// The text without this provider's key, whoever repeated it.
    pub(super) fn redact(&self, text: String) -> String {
        match &self.key {
            Some(key) if !key.expose_secret().is_empty() && text.contains(key.expose_secret()) => {
                text.replace(key.expose_secret(), "[REDACTED]")
            }
            Some(_) | None => text,
        }
    }
}

fn base_url(name: &str, text: &str) -> Result<Url, ConfigError> {
    let parsed = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    parsed.filter(Url::has_host).ok_or_else(|| {
        // Only what follows user and password, should there be some.
        let found = text.rsplit_once('@').map_or(text, |(_, rest)| rest).to_owned();
        ConfigError::BaseUrl { provider: name.to_owned(), found }
    })
}

fn headers(name: &str, config: &ProviderConfig) -> Result<HeaderMap, ConfigError> {
    let refused = |header: &str| ConfigError::Header { provider: name.to_owned(), header: header.to_owned() };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    for (key, value) in &config.headers {
        let header = HeaderName::from_bytes(key.as_bytes()).map_err(|_| refused(key))?;
        headers.insert(header, HeaderValue::from_str(value).map_err(|_| refused(key))?);
    }
    if let Some(key) = &config.api_key {
        let (header, text) = match config.key_header {
            KeyHeader::Bearer => (AUTHORIZATION, format!("Bearer {}", key.expose_secret())),
            KeyHeader::XApiKey => (HeaderName::from_static("x-api-key"), key.expose_secret().to_owned()),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| refused(header.as_str()))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpConfig;

    fn endpoint(name: &str, base_url: &str) -> Result<Endpoint, ConfigError> {
        let mut config = HttpConfig::default().providers.remove(name).unwrap();
        base_url.clone_into(&mut config.base_url);
        Endpoint::new(name.to_owned(), config, HttpConfig::default().breaker)
    }

    #[test]
    fn a_base_url_may_end_with_a_slash_or_with_the_version() {
        for (name, base, expected) in [
            ("openai", "http://h:1/v1", "http://h:1/v1/chat/completions"),
            ("openai", "http://h:1/as/me/v1/", "http://h:1/as/me/v1/chat/completions"),
            ("anthropic", "http://h:1", "http://h:1/v1/messages"),
            ("anthropic", "http://h:1/s/x/", "http://h:1/s/x/v1/messages"),
            ("anthropic", "http://h:1/v1", "http://h:1/v1/messages"),
        ] {
            let endpoint = endpoint(name, base).unwrap();
            let codec = (endpoint.provider.codec)(OpenAiApi::Auto, false);
            assert_eq!(endpoint.url(codec).as_str(), expected);
        }
    }

    #[test]
    fn a_bad_base_url_is_named_without_its_password() {
        let error = endpoint("openai", "ftp://user:pass@host/v1").err().unwrap().to_string();
        assert_eq!(error, "base URL of `openai`: expected an http or https URL, found `host/v1`");
    }

    #[test]
    fn only_the_vendor_is_not_asked_without_a_key() {
        assert!(endpoint("openai", "https://api.openai.com/v1/").unwrap().missing_key().is_some());
        assert!(endpoint("openai", "http://127.0.0.1:9/v1").unwrap().missing_key().is_none());
        assert!(endpoint("ollama", "http://127.0.0.1:11434/v1").unwrap().missing_key().is_none());
    }
}
