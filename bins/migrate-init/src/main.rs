//! Applies the database migrations: in an init container, or by hand. Safe to run many times at once.

use std::process::ExitCode;
use std::time::Duration;

use agent_checkpoint_store::PostgresConfig;
use agent_checkpoint_store::postgres::{Connector, SslMode, Tls};
use agent_config::{Environment, Purpose, Settings};
use agent_migrations::{Options, Report, migrate};
use agent_telemetry::logs::{self, Format, LogOptions, Output};
use agent_telemetry::secrets;
use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// Wrong settings.
const WRONG_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    // Installing it twice is the only way to fail.
    drop(rustls::crypto::ring::default_provider().install_default());
    let settings = match Settings::load(&Environment::from_process(), Purpose::Migrate) {
        Ok(settings) => settings,
        Err(error) => return wrong(&error.to_string()),
    };
    settings.secrets().iter().for_each(|secret| secrets::register(secret));
    let options = LogOptions {
        format: Format::Json,
        output: Output::Stdout,
        rust_log: settings.logs.directives.as_deref(),
        log_level: Some(&settings.logs.level),
    };
    if let Err(error) = logs::init(options) {
        return wrong(&error.to_string());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let migrated = runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(&settings)));
    match migrated {
        Ok(report) => {
            info!(
                event = "migrations_applied",
                schema = report.schema,
                from = report.from,
                to = report.to,
                adopted = report.adopted,
                applied = report.applied.join(", "),
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            error!(event = "migration_failed", error = format!("{failure:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "nothing is logged yet")]
fn wrong(message: &str) -> ExitCode {
    eprintln!("migrate-init: {message}");
    ExitCode::from(WRONG_SETTINGS)
}

async fn run(settings: &Settings) -> anyhow::Result<Report> {
    let connector = Connector::new(&config(settings)?).context("TLS for PostgreSQL")?;
    let mut client = connect(&connector, settings.postgres.migrate_wait).await?;
    let options = Options { schema: settings.postgres.schema.clone(), ..Options::default() };
    Ok(migrate(&mut client, &options).await?)
}

fn config(settings: &Settings) -> anyhow::Result<PostgresConfig> {
    let from = &settings.postgres;
    let mut config = match &from.dsn {
        Some(dsn) => PostgresConfig::from_dsn(dsn.expose_secret())?,
        None => {
            let mut server = tokio_postgres::Config::new();
            server.host(&from.host).port(from.port).dbname(&from.db).user(&from.user);
            if let Some(password) = &from.password {
                server.password(password.expose_secret());
            }
            PostgresConfig::new(server, Tls::default())
        }
    };
    let mode = SslMode::parse(from.ssl_mode.as_str()).context("`POSTGRES_SSLMODE` is not known")?;
    config.tls = Tls { mode, root_cert: from.ssl_root_cert.clone() };
    config.connect_timeout = from.connect_wait;
    Ok(config)
}

/// Waits a bounded time for the server.
async fn connect(connector: &Connector, patience: Duration) -> anyhow::Result<tokio_postgres::Client> {
    let give_up = Instant::now() + patience;
    loop {
        match connector.plain().await {
            Ok(client) => return Ok(client),
            Err(error) if error.as_db_error().is_none() && Instant::now() < give_up => {
                warn!(event = "postgres_not_reached", %error, "waiting for the server");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("PostgreSQL was not reached within {} s", patience.as_secs()));
            }
        }
    }
}
