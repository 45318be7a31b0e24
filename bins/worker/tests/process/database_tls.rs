//! TLS to PostgreSQL: each `sslmode` of libpq against a server whose certificate is right, from a stranger, or made for
//! another name.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use agent_checkpoint_store::{PostgresConfig, PostgresStore};
use agent_testkit::{Postgres, Servers, until};
use rcgen::ExtendedKeyUsagePurpose;

use crate::common::{PATIENCE, connect};
use crate::tls::{Authority, Identity};

/// What came of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Plain,
    Encrypted,
    Refused,
}

/// Connects a store with these members in its DSN.
async fn tried(server: &Postgres, members: &str) -> Came {
    let dsn = server.fresh_database().await.unwrap();
    let mut client = connect(&dsn).await;
    agent_migrations::migrate(&mut client, &agent_migrations::Options::default()).await.unwrap();
    let config = PostgresConfig::from_dsn(&format!("{dsn}?{members}")).unwrap();
    let Ok(_store) = PostgresStore::connect(config).await else { return Came::Refused };
    let query = "select bool_and(s.ssl) from pg_stat_ssl s join pg_stat_activity a using (pid)
        where a.datname = current_database() and a.application_name = 'agent-executor'";
    let encrypted: bool = client.query_one(query, &[]).await.unwrap().get(0);
    if encrypted { Came::Encrypted } else { Came::Plain }
}

/// The server's own folder; `None`, said, where it is inside of a container.
async fn folder_of(server: &Postgres) -> Option<PathBuf> {
    let folder: String =
        connect(server.url()).await.query_one("show data_directory", &[]).await.unwrap().get(0);
    if !Path::new(&folder).is_dir() {
        eprintln!("skipped: the server's files cannot be reached");
        return None;
    }
    Some(PathBuf::from(folder))
}

/// From now on the server shows this certificate.
async fn show(server: &Postgres, folder: &Path, name: &str, identity: &Identity) {
    let owner = std::fs::metadata(folder).unwrap();
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    for (file, text) in [(&certificate, identity.pem.clone()), (&key, identity.key.serialize_pem())] {
        let path = folder.join(file);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let client = connect(server.url()).await;
    for setting in
        ["ssl = on".to_owned(), format!("ssl_cert_file = '{certificate}'"), format!("ssl_key_file = '{key}'")]
    {
        client.execute(&format!("alter system set {setting}"), &[]).await.unwrap();
    }
    client.execute("select pg_reload_conf()", &[]).await.unwrap();
    // A new connection has what the server has read.
    until("the server has read its settings", PATIENCE, async || {
        let row = connect(server.url()).await.query_one("show ssl_cert_file", &[]).await.ok()?;
        (row.get::<_, String>(0) == certificate).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sslmode_asks_of_the_server_what_libpq_asks() {
    if Servers::or_skip().await.is_none() {
        return;
    }
    let server = Postgres::start_own().await.unwrap();
    let Some(folder) = folder_of(&server).await else { return };
    assert_eq!(tried(&server, "sslmode=prefer").await, Came::Plain, "it has no certificate yet");
    assert_eq!(tried(&server, "sslmode=require").await, Came::Refused, "it has no certificate yet");

    let (authority, stranger) = (Authority::new(), Authority::new());
    let roots = tempfile::TempDir::new().unwrap();
    let root = |name: &str, authority: &Authority| {
        let path = roots.path().join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        format!("&sslrootcert={}", path.display())
    };
    let (known, unknown) = (root("known.pem", &authority), root("unknown.pem", &stranger));
    let no_root = String::new();

    show(&server, &folder, "right", &authority.server()).await;
    for (mode, root, expected) in [
        ("disable", &no_root, Came::Plain),
        ("prefer", &no_root, Came::Encrypted),
        ("require", &no_root, Came::Encrypted),
        ("require", &known, Came::Encrypted),
        ("require", &unknown, Came::Refused),
        ("verify-ca", &known, Came::Encrypted),
        ("verify-ca", &unknown, Came::Refused),
        ("verify-full", &known, Came::Encrypted),
        ("verify-full", &unknown, Came::Refused),
    ] {
        assert_eq!(tried(&server, &format!("sslmode={mode}{root}")).await, expected, "{mode}{root}");
    }

    let elsewhere = authority.sign("db.example", ExtendedKeyUsagePurpose::ServerAuth);
    show(&server, &folder, "elsewhere", &elsewhere).await;
    for (mode, expected) in
        [("require", Came::Encrypted), ("verify-ca", Came::Encrypted), ("verify-full", Came::Refused)]
    {
        let members = format!("sslmode={mode}{known}");
        assert_eq!(tried(&server, &members).await, expected, "{mode}, made for another name");
    }
}
