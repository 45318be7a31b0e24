//! `worker provision-nats`: what the stream Job of the deployment runs.

use std::process::ExitCode;
use std::time::Duration;

use agent_config::Purpose;
use agent_telemetry::logs::Output;
use tracing::{error, info};

use crate::{compose, start};

/// Longest wait for the server; the Job tries again after that.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn main() -> ExitCode {
    let settings = match start::settings(Purpose::Embedded) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Err(code) = start::logging(&settings, Output::Stdout, false) {
        return code;
    }
    let wanted = compose::streams(&settings);
    let done = start::block_on(async {
        let nats = agent_transport_nats::connect(compose::nats(&settings)).await?;
        Ok(agent_transport_nats::provision(&nats, &wanted, PATIENCE).await?)
    });
    match done {
        Ok(changes) => {
            for change in changes {
                info!(event = "nats_provisioned", %change);
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let code = failure.downcast_ref::<agent_transport_nats::ProvisionError>();
            let code = code.map_or("nats.refused", agent_transport_nats::ProvisionError::code);
            error!(event = "nats_not_provisioned", code, error = format!("{failure:#}"));
            ExitCode::FAILURE
        }
    }
}
