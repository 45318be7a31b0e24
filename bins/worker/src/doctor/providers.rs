//! Model providers: their keys, and whether they can be reached from here.

use agent_config::Settings;
use agent_model_client::Probe;

use super::Findings;
use crate::compose;

pub(crate) async fn check(settings: &Settings, findings: &mut Findings) {
    let client = match compose::models(settings) {
        Ok(client) => client,
        Err(error) => return findings.bad("model", format!("{error:#}"), "check the base URLs and the keys"),
    };
    let models = &settings.models;
    let asked = [
        ("openai", models.openai_api_key.is_some() || models.openai_base_url.is_some()),
        ("anthropic", models.anthropic_api_key.is_some() || models.anthropic_base_url.is_some()),
        ("ollama", models.ollama_base_url.is_some()),
    ];
    if asked.iter().all(|(_, configured)| !configured) {
        return findings.bad(
            "model",
            "no provider is configured: every job would fail with model.auth",
            "set OPENAI_API_KEY, ANTHROPIC_API_KEY or OLLAMA_BASE_URL",
        );
    }
    for (name, _) in asked.into_iter().filter(|(_, configured)| *configured) {
        let Some(probe) = client.probe(name).await else { continue };
        told(name, probe, findings);
    }
}

fn told(name: &str, probe: Probe, findings: &mut Findings) {
    match probe {
        Probe::Good => findings.good("model", format!("{name}: answers, and takes the key")),
        Probe::NoKey => {
            let advice = format!("set {}_API_KEY", name.to_uppercase());
            findings.bad("model", format!("{name}: there is no key"), advice);
        }
        Probe::KeyRefused { status } => findings.bad(
            "model",
            format!("{name}: the key is refused ({status})"),
            "rotate the key: docs/operations.md, Rotating keys",
        ),
        Probe::Failing { status } => findings.look(
            "model",
            format!("{name}: answers {status}"),
            "look at the provider's status page; jobs are retried meanwhile",
        ),
        Probe::Unreachable { reason } => findings.bad(
            "model",
            format!("{name}: {reason}"),
            "check the base URL, HTTPS_PROXY, certificates (SSL_CERT_FILE) and that egress to 443 is allowed",
        ),
        other => findings.look("model", format!("{name}: {other:?}"), "see the log"),
    }
}
