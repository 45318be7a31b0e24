//! The three servers together.

use tokio::sync::OnceCell;

use crate::nats::Nats;
use crate::postgres::Postgres;
use crate::redis::Redis;
use crate::{container, programs};

/// PostgreSQL, NATS with JetStream and a Redis-protocol server.
#[derive(Debug)]
pub struct Servers {
    /// PostgreSQL.
    pub postgres: Postgres,
    /// NATS with JetStream.
    pub nats: Nats,
    /// Dragonfly, Valkey or Redis.
    pub redis: Redis,
}

impl Servers {
    /// What `TEST_POSTGRES_URL`, `TEST_NATS_URL` and `TEST_REDIS_URL` name; the others are started and end with
    /// the returned value.
    ///
    /// # Errors
    /// When a named server does not answer or one cannot be started; the error says what to install.
    pub async fn from_env_or_start() -> anyhow::Result<Self> {
        let (postgres, nats, redis) = tokio::try_join!(
            Postgres::from_env_or_start(),
            Nats::from_env_or_start(),
            Redis::from_env_or_start()
        )?;
        Ok(Self { postgres, nats, redis })
    }

    /// Local programs, whatever the environment says.
    ///
    /// # Errors
    /// When a program is missing or does not start.
    pub async fn from_local_programs() -> anyhow::Result<Self> {
        let missing = programs::missing();
        anyhow::ensure!(missing.is_empty(), "missing: {}", missing.join("; "));
        let (postgres, nats, redis) =
            tokio::try_join!(Postgres::start_local(&[]), Nats::start_local(&[]), Redis::start_local())?;
        Ok(Self { postgres, nats, redis })
    }

    /// Containers, from the images that [`crate::Images`] names.
    ///
    /// # Errors
    /// When the engine does not answer, or has an image neither here nor in a registry that it reaches.
    pub async fn from_containers() -> anyhow::Result<Self> {
        let (postgres, nats, redis) =
            tokio::try_join!(container::postgres(&[]), container::nats(&[]), container::redis())?;
        Ok(Self { postgres, nats, redis })
    }

    /// For tests that only run where servers can be had: prints why not and gives `None`, except where
    /// `AGENT_EXECUTOR_REQUIRE_SERVERS` is set (`cargo xtask test` sets it).
    ///
    /// # Panics
    /// When servers are required and cannot be had.
    #[expect(clippy::panic, clippy::print_stderr, reason = "this speaks to whoever reads a test's output")]
    pub async fn or_skip() -> Option<Self> {
        match Self::from_env_or_start().await {
            Ok(servers) => Some(servers),
            Err(error) if std::env::var_os("AGENT_EXECUTOR_REQUIRE_SERVERS").is_some() => panic!("{error:#}"),
            Err(error) => {
                eprintln!("skipped: no servers for this test: {error:#}");
                None
            }
        }
    }

    /// The same servers for all tests of a process; they end with it.
    ///
    /// # Errors
    /// As [`Servers::from_env_or_start`].
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Servers> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::from_env_or_start).await
    }

    /// The variables that make other processes use these servers.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("TEST_POSTGRES_URL", self.postgres.url().to_owned()),
            ("TEST_NATS_URL", self.nats.url().to_owned()),
            ("TEST_REDIS_URL", self.redis.url().to_owned()),
        ]
    }

    /// Ends all three and waits until containers are removed.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn end(self) -> anyhow::Result<()> {
        self.postgres.into_server().remove().await?;
        self.nats.into_server().remove().await?;
        self.redis.into_server().remove().await
    }
}
