//! PostgreSQL.

use std::ops::Deref;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::process::{Launch, unprivileged};
use crate::programs;
use crate::server::{Probe, Server, data_folder};

pub(crate) const USER: &str = "test_user";
pub(crate) const PASSWORD: &str = "test_pass";

/// A PostgreSQL server; faults through [`Server`].
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    admin: String,
}

impl Postgres {
    /// The server of `TEST_POSTGRES_URL` (a user that may create databases), else one of our own.
    ///
    /// # Errors
    /// When the named server does not answer, or none can be started.
    pub async fn from_env_or_start() -> anyhow::Result<Self> {
        match std::env::var("TEST_POSTGRES_URL") {
            Ok(dsn) => {
                let probe = Probe::Postgres(dsn.clone());
                ensure!(probe.answers().await, "TEST_POSTGRES_URL is set, but the server does not answer");
                let url = Url::parse(&dsn)?;
                let address =
                    format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432));
                Ok(Self { server: Server::outside(address, probe), admin: dsn })
            }
            Err(_) => Self::start_own().await,
        }
    }

    /// A server of this test alone, with durable settings, so that a crash loses nothing that was committed.
    ///
    /// # Errors
    /// When there is neither a local PostgreSQL nor a container engine, or it does not start.
    pub async fn start_own() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`Postgres::start_own`], with more settings, for example `["fsync=off", "max_connections=20"]`.
    ///
    /// # Errors
    /// As [`Postgres::start_own`].
    pub async fn start_with(settings: &[&str]) -> anyhow::Result<Self> {
        if programs::postgres().is_none() {
            return crate::container::postgres(settings).await;
        }
        Self::start_local(settings).await
    }

    pub(crate) async fn start_local(settings: &[&str]) -> anyhow::Result<Self> {
        let programs = programs::postgres().context("no local PostgreSQL")?;
        let folder = data_folder("postgres")?;
        init_cluster(folder.path(), USER, PASSWORD)?;
        let probe = |address: &str| Probe::Postgres(admin_dsn(address));
        let server = Server::local(folder, probe, |folder, port| {
            let data = folder.join("data");
            let mut args = vec!["-D".into(), data.into_os_string(), "-p".into(), port.to_string().into()];
            let fixed = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"];
            for setting in fixed.iter().chain(settings) {
                args.extend(["-c".into(), setting.into()]);
            }
            Launch {
                program: programs.postgres.clone(),
                args,
                account: unprivileged(),
                log: folder.join("log"),
                death_signal: "QUIT",
            }
        });
        let server = server.await?;
        Ok(Self { admin: admin_dsn(server.address()), server })
    }

    pub(crate) fn new(server: Server) -> Self {
        Self { admin: admin_dsn(server.address()), server }
    }

    pub(crate) fn into_server(self) -> Server {
        self.server
    }

    /// DSN of the administrator's database. Tests write into [`Postgres::fresh_database`] instead.
    pub fn url(&self) -> &str {
        &self.admin
    }

    /// DSN of a new, empty database that no other test knows. It goes with the server; on a server given by the
    /// environment it stays (its name begins with `t_`).
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn fresh_database(&self) -> anyhow::Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let name = format!("t_{}_{since}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self::create_database(&self.admin, &name).await?;
        self.url_of(&name)
    }

    /// Makes the database `name` on the server of the DSN `admin`.
    ///
    /// # Errors
    /// When the server refuses; also when the database is there already.
    pub async fn create_database(admin: &str, name: &str) -> anyhow::Result<()> {
        let admin = connect(admin).await?;
        // template0 is never in use, so tests may do this at the same time.
        admin.simple_query(&format!("create database \"{name}\" template template0")).await?;
        Ok(())
    }

    /// DSN of another database of this server.
    ///
    /// # Errors
    /// When the server was given by the environment with a DSN that is no URL.
    pub fn url_of(&self, database: &str) -> anyhow::Result<String> {
        let mut url = Url::parse(&self.admin).context("TEST_POSTGRES_URL must be a URL")?;
        url.set_path(database);
        Ok(url.into())
    }
}

impl Deref for Postgres {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Makes a cluster in `folder`/data with one superuser who logs in with a password. As root the folder is given to
/// the account that the server will run as.
///
/// # Errors
/// When PostgreSQL's programs are absent, or `initdb` fails; the error carries its output.
pub fn init_cluster(folder: &Path, user: &str, password: &str) -> anyhow::Result<()> {
    let programs = programs::postgres().context("no local PostgreSQL")?;
    let secret = folder.join("password");
    std::fs::write(&secret, password)?;
    let mut command = Command::new(&programs.initdb);
    command.arg("-D").arg(folder.join("data")).args(["-U", user, "-A", "scram-sha-256", "-E", "UTF8"]);
    command.args(["--locale=C", "--no-sync"]).arg("--pwfile").arg(&secret).current_dir("/");
    if let Some(account) = unprivileged() {
        chown(folder, Some(account.uid), Some(account.gid))?;
        chown(&secret, Some(account.uid), Some(account.gid))?;
    }
    run_unprivileged(&mut command);
    let output = command.output().context("run initdb")?;
    ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(secret)?;
    Ok(())
}

/// Lets `command` run as the account that [`init_cluster`] gave the data to; changes nothing unless we are root.
pub fn run_unprivileged(command: &mut Command) {
    if let Some(account) = unprivileged() {
        command.uid(account.uid).gid(account.gid);
    }
}

fn admin_dsn(address: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@{address}/postgres")
}

/// A connection without TLS whose background half lives in a task of this runtime.
pub(crate) async fn connect(dsn: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
