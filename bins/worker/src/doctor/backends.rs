//! PostgreSQL, NATS and the cache.

use std::time::Duration;

use agent_checkpoint_store::postgres::Connector;
use agent_config::Settings;
use agent_stream_sink::StreamSink;
use agent_transport_nats::{Difference, Observation, ProvisionError, State};

use super::Findings;
use crate::compose;

/// Longest wait for each server.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn postgres(settings: &Settings, findings: &mut Findings) {
    let server = match connect(settings).await {
        Ok(server) => server,
        Err(reason) => {
            return findings.bad(
                "postgres",
                reason,
                "check host, port, password and POSTGRES_SSLMODE, the secret that holds them, and that the server runs",
            );
        }
    };
    findings.good("postgres", "reached, and the role may log in");
    match agent_migrations::current_version(&server).await {
        Ok(found) if found < agent_migrations::NEEDED_VERSION => {
            let text = format!("version {found}, needed is {}", agent_migrations::NEEDED_VERSION);
            let advice = "run `migrate-init` with the owner's role; in a cluster look at the init container run-migrations";
            return findings.bad("postgres schema", text, advice);
        }
        Ok(found) => findings.good("postgres schema", format!("version {found}")),
        Err(error) => {
            return findings.bad("postgres schema", error.to_string(), "check POSTGRES_SCHEMA and the role");
        }
    }
    match agent_migrations::missing_rights(&server).await {
        Ok(missing) if missing.is_empty() => {
            findings.good("postgres rights", "the role may read and write every table")
        }
        Ok(missing) => findings.bad(
            "postgres rights",
            format!("missing: {}", missing.join(", ")),
            "grant select, insert, update, delete on all tables of the schema to the worker's role",
        ),
        Err(error) => findings.bad("postgres rights", error.to_string(), "check the role"),
    }
}

async fn connect(settings: &Settings) -> Result<tokio_postgres::Client, String> {
    let config = compose::postgres(settings).map_err(|error| format!("{error:#}"))?;
    let connector = Connector::new(&config).map_err(|error| error.to_string())?;
    let connected = tokio::time::timeout(PATIENCE, connector.set_up()).await;
    let connected = connected.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?;
    connected.map_err(|error| crate::start::with_sources(&error))
}

pub(crate) async fn nats(settings: &Settings, findings: &mut Findings) {
    let nats = match agent_transport_nats::connect(compose::nats(settings)).await {
        Ok(nats) => nats,
        Err(error) => {
            let advice = "check NATS_URL, NATS_CREDS_FILE, NATS_USER, NATS_TOKEN and NATS_TLS_CA_FILE";
            return findings.bad("nats", error.to_string(), advice);
        }
    };
    let wanted = compose::streams(settings);
    match agent_transport_nats::examine(&nats, &wanted, PATIENCE).await {
        Ok(observations) => {
            findings.good("nats", "reached, with JetStream");
            observations.into_iter().for_each(|observation| jetstream(observation, findings));
        }
        Err(error @ ProvisionError::NoJetStream { .. }) => {
            findings.bad("nats", error.to_string(), "start the server with `-js`, or enable JetStream for the account");
        }
        Err(error) => findings.bad(
            "nats",
            error.to_string(),
            "check that the server runs, its address, the credentials (its log says who it refuses), and network policies",
        ),
    }
}

const PROVISION: &str = "run `worker provision-nats`; in a cluster delete the Job create-agent-execution-stream, Argo CD makes it again";

fn jetstream(Observation { what, state }: Observation, findings: &mut Findings) {
    let check = if what.starts_with("consumer") { "nats consumer" } else { "nats stream" };
    match state {
        State::Good(text) => findings.good(check, format!("{what}: {text}")),
        State::Differs(differences) => {
            findings.look(check, format!("{what}: {}", told(&differences)), PROVISION)
        }
        State::Unfit(differences) => {
            findings.bad(check, format!("{what}: {}", told(&differences)), PROVISION)
        }
        State::Missing(reason) => findings.bad(check, format!("{what}: {reason}"), PROVISION),
        other => findings.look(check, format!("{what}: {other:?}"), PROVISION),
    }
}

fn told(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

pub(crate) async fn cache(settings: &Settings, findings: &mut Findings) {
    let advice = "check DRAGONFLY_HOST, _PORT, _PASSWORD and _TLS; jobs run without the cache, their live events are lost";
    let sink = match compose::sink(settings) {
        Ok(sink) => sink,
        Err(error) => return findings.bad("cache", format!("{error:#}"), advice),
    };
    let answered = tokio::time::timeout(PATIENCE, async {
        while !sink.healthy().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    match answered.await {
        Ok(()) => findings.good("cache", "answers PING"),
        Err(_) => findings.bad("cache", format!("no answer to PING within {} s", PATIENCE.as_secs()), advice),
    }
}
