//! The same servers in containers, where a Docker engine answers. Image names come from the environment, so that
//! machines without a registry can name local ones.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use testcontainers::core::{ContainerPort, IntoContainerPort};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};

use crate::nats::Nats;
use crate::ports::free_port;
use crate::postgres::{PASSWORD, Postgres, USER};
use crate::redis::Redis;
use crate::server::{Probe, Server};

/// The images of the three servers.
#[derive(Debug, Clone)]
pub struct Images {
    /// `AGENT_EXECUTOR_TEST_IMAGE_POSTGRES`, default `postgres:16`.
    pub postgres: String,
    /// `AGENT_EXECUTOR_TEST_IMAGE_NATS`, default `nats:2`.
    pub nats: String,
    /// `AGENT_EXECUTOR_TEST_IMAGE_REDIS`, default Dragonfly's; Valkey and Redis serve as well.
    pub redis: String,
}

impl Images {
    /// Reads the environment.
    pub fn from_env() -> Self {
        let of = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        Self {
            postgres: of("AGENT_EXECUTOR_TEST_IMAGE_POSTGRES", "postgres:16"),
            nats: of("AGENT_EXECUTOR_TEST_IMAGE_NATS", "nats:2"),
            redis: of(
                "AGENT_EXECUTOR_TEST_IMAGE_REDIS",
                "docker.dragonflydb.io/dragonflydb/dragonfly:latest",
            ),
        }
    }
}

/// Whether a Docker engine answers: any `DOCKER_HOST` that is no Unix socket is believed, a socket is asked.
pub fn engine_answers() -> bool {
    let named = std::env::var("DOCKER_HOST").ok();
    if named.as_ref().is_some_and(|host| !host.starts_with("unix://")) {
        return true;
    }
    let home = std::env::var("HOME").unwrap_or_default();
    let mut sockets =
        vec![PathBuf::from("/var/run/docker.sock"), PathBuf::from(home).join(".docker/run/docker.sock")];
    if let Some(socket) = named.as_ref().and_then(|host| host.strip_prefix("unix://")) {
        sockets = vec![PathBuf::from(socket)];
    }
    sockets.iter().any(|socket| pinged(socket).unwrap_or(false))
}

fn pinged(socket: &PathBuf) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer.contains(" 200 "))
}

pub(crate) async fn postgres(settings: &[&str]) -> anyhow::Result<Postgres> {
    let settings: Vec<String> = ["max_connections=300"]
        .iter()
        .chain(settings)
        .flat_map(|one| ["-c".to_owned(), (*one).to_owned()])
        .collect();
    let port = 5432.tcp();
    let request = image(&Images::from_env().postgres, port)
        .with_env_var("POSTGRES_USER", USER)
        .with_env_var("POSTGRES_PASSWORD", PASSWORD)
        .with_env_var("POSTGRES_DB", "postgres")
        .with_cmd(settings);
    let (address, container) = start(request, port).await?;
    let probe = Probe::Postgres(format!("postgres://{USER}:{PASSWORD}@{address}/postgres"));
    Ok(Postgres::new(Server::container(address, probe, container).await?))
}

pub(crate) async fn nats(arguments: &[&str]) -> anyhow::Result<Nats> {
    let port = 4222.tcp();
    let arguments = ["-js"].iter().chain(arguments).map(|one| (*one).to_owned());
    let request = image(&Images::from_env().nats, port).with_cmd(arguments);
    let (address, container) = start(request, port).await?;
    let probe = Probe::Nats(address.clone());
    Ok(Nats::new(Server::container(address, probe, container).await?))
}

pub(crate) async fn redis() -> anyhow::Result<Redis> {
    let port = 6379.tcp();
    let (address, container) = start(image(&Images::from_env().redis, port).into(), port).await?;
    let probe = Probe::Redis(address.clone());
    Ok(Redis::new(Server::container(address, probe, container).await?))
}

fn image(name: &str, port: ContainerPort) -> GenericImage {
    // The tag follows the last colon, unless that colon belongs to a registry's port.
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (name, "latest"),
    };
    GenericImage::new(name, tag).with_exposed_port(port)
}

/// The host port is fixed: a mapped one would be another after stop and start.
async fn start(
    request: ContainerRequest<GenericImage>,
    port: ContainerPort,
) -> anyhow::Result<(String, ContainerAsync<GenericImage>)> {
    let host_port = free_port()?;
    let request = request.with_mapped_port(host_port, port).with_startup_timeout(Duration::from_secs(300));
    let container = request.start().await.context("start a container")?;
    let host = container.get_host().await?.to_string();
    let host = if host == "localhost" { "127.0.0.1".to_owned() } else { host };
    Ok((format!("{host}:{host_port}"), container))
}
