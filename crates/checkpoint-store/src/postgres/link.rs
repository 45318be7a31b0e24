//! One connection, as every part of the store opens it.

use std::future::Future;
use std::pin::Pin;

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::PostgresConfig;
use super::tls::TlsError;
use crate::metric;

/// Opens connections: TLS, then the session's settings.
#[derive(Clone)]
pub struct Connector {
    server: Config,
    tls: MakeRustlsConnect,
    greeting: String,
}

impl Connector {
    /// A connector for these settings; opens nothing yet.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(config: &PostgresConfig) -> Result<Self, TlsError> {
        let (server, tls) = (config.prepared(), config.tls.connector()?);
        Ok(Self { server, tls, greeting: config.greeting() })
    }

    /// A connection with TLS as configured and nothing set, as a migration needs it. Its background half runs in a
    /// task that ends with the client.
    ///
    /// # Errors
    /// The client's.
    pub async fn plain(&self) -> Result<Client, Error> {
        Ok(dial(self.server.clone(), self.tls.clone(), None).await?.0)
    }

    /// A connection as the store itself uses it: TLS, `search_path` and limits. For whoever looks at the schema.
    ///
    /// # Errors
    /// The client's.
    pub async fn set_up(&self) -> Result<Client, Error> {
        Ok(self.greeted().await?.0)
    }

    pub(super) fn greeted(
        &self,
    ) -> impl Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'static {
        dial(self.server.clone(), self.tls.clone(), Some(self.greeting.clone()))
    }
}

async fn dial(
    server: Config,
    tls: MakeRustlsConnect,
    greeting: Option<String>,
) -> Result<(Client, JoinHandle<()>), Error> {
    let connected = server.connect(tls).await;
    let (client, connection) = connected.inspect_err(|_| metric::connection_error())?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            metric::connection_error();
            tracing::warn!(error = %super::error::told(&error), "database_connection_lost");
        }
    });
    if let Some(greeting) = greeting {
        client.batch_execute(&greeting).await?;
    }
    Ok((client, task))
}

type Opening<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for Connector {
    fn connect(&self, _: &Config) -> Opening<'_> {
        Box::pin(self.greeted())
    }
}
