use std::time::Duration;

use agent_testkit::{Nats, Postgres, Redis, Servers};
use tokio_postgres::NoTls;

async fn client(dsn: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let Some(servers) = Servers::or_skip().await else { return };
    let (first, second) =
        tokio::try_join!(servers.postgres.fresh_database(), servers.postgres.fresh_database()).unwrap();

    client(&first).await.batch_execute("create table only_here (n int)").await.unwrap();

    let seen = client(&second)
        .await
        .query("select 1 from pg_tables where tablename = 'only_here'", &[])
        .await
        .unwrap();
    assert!(seen.is_empty());
}

#[tokio::test]
async fn what_postgres_committed_survives_a_kill_and_a_restart_on_the_same_port() {
    let Some(_) = Servers::or_skip().await else { return };
    let server = Postgres::start_own().await.unwrap();
    let dsn = server.fresh_database().await.unwrap();
    client(&dsn).await.batch_execute("create table kept (n int); insert into kept values (7)").await.unwrap();

    server.kill().await.unwrap();
    assert!(tokio_postgres::connect(&dsn, NoTls).await.is_err(), "a killed server answers nobody");
    server.restart().await.unwrap();

    let row = client(&dsn).await.query_one("select n from kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
}

#[tokio::test]
async fn a_frozen_postgres_hangs_and_goes_on_when_thawed() {
    let Some(_) = Servers::or_skip().await else { return };
    let server = Postgres::start_with(&["fsync=off"]).await.unwrap();
    let client = client(server.url()).await;

    server.freeze().await.unwrap();
    let answer = client.simple_query("select 1");
    tokio::pin!(answer);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
    assert!(early.is_err(), "an open connection must hang too");
    server.thaw().await.unwrap();

    assert!(answer.await.is_ok());
}

#[tokio::test]
async fn jetstream_keeps_its_messages_over_a_restart() {
    let Some(_) = Servers::or_skip().await else { return };
    let server = Nats::start_own().await.unwrap();
    let jetstream = async_nats::jetstream::new(server.client().await.unwrap());
    let stream = async_nats::jetstream::stream::Config {
        name: "AGENT_EXECUTION".to_owned(),
        subjects: vec!["agent.execute.*".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(stream).await.unwrap();
    jetstream.publish("agent.execute.a", "x".into()).await.unwrap().await.unwrap();

    server.stop().await.unwrap();
    server.restart().await.unwrap();

    let jetstream = async_nats::jetstream::new(server.client().await.unwrap());
    let mut stream = jetstream.get_stream("AGENT_EXECUTION").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1);
}

#[tokio::test]
async fn a_subscription_sees_what_is_published_after_it_opened() {
    let Some(servers) = Servers::or_skip().await else { return };
    let own = Redis::start_own().await.unwrap();
    for server in [&servers.redis, &own] {
        let mut subscription = server.subscribe("testkit:a").await.unwrap();
        let mut publisher = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut publisher, b"PUBLISH testkit:a hello\r\n").await.unwrap();

        let message = subscription.next(Duration::from_secs(10)).await.unwrap();

        assert_eq!(message, Some(("testkit:a".to_owned(), b"hello".to_vec())));
    }
}
