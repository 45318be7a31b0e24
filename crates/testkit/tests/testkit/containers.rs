use agent_testkit::{Servers, engine_answers};
use tokio_postgres::NoTls;

/// Runs where `cargo xtask containers` asks for it: images may have to be fetched, and not everybody has an engine.
#[tokio::test]
async fn the_three_servers_answer_from_containers_and_can_be_killed() {
    if std::env::var_os("AGENT_EXECUTOR_TEST_CONTAINERS").is_none() {
        eprintln!("skipped: AGENT_EXECUTOR_TEST_CONTAINERS is not set (`cargo xtask containers` sets it)");
        return;
    }
    assert!(engine_answers(), "AGENT_EXECUTOR_TEST_CONTAINERS is set, but no Docker engine answers");
    let servers = Servers::from_containers().await.unwrap();

    let dsn = servers.postgres.fresh_database().await.unwrap();
    assert!(tokio_postgres::connect(&dsn, NoTls).await.is_ok());
    let jetstream = async_nats::jetstream::new(servers.nats.client().await.unwrap());
    assert!(jetstream.query_account().await.is_ok());
    servers.redis.subscribe("testkit:containers").await.unwrap();

    servers.postgres.kill().await.unwrap();
    assert!(tokio_postgres::connect(&dsn, NoTls).await.is_err());
    servers.postgres.restart().await.unwrap();
    assert!(tokio_postgres::connect(&dsn, NoTls).await.is_ok());

    servers.end().await.unwrap();
}
