//! `migrate-init` as a process: what an init container sees.

use std::process::{Command, Output, Stdio};

use agent_testkit::Servers;
use tokio_postgres::NoTls;

fn migrate(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate-init"));
    command.env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn four_at_once_all_end_well_and_one_of_them_applies() {
    let Some(servers) = Servers::or_skip().await else { return };
    let dsn = servers.postgres.fresh_database().await.unwrap();
    let started: Vec<_> = (0..4).map(|_| migrate(&[("DATABASE_URL", &dsn)]).spawn().unwrap()).collect();
    let ended: Vec<Output> = started.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for output in &ended {
        assert_eq!(output.status.code(), Some(0), "{}", log(output));
    }
    let applied = ended.iter().filter(|output| log(output).contains("\"from\":0")).count();
    assert_eq!(applied, 1, "{}", ended.iter().map(log).collect::<String>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_ends_with_1_and_a_line_that_says_which() {
    let Some(servers) = Servers::or_skip().await else { return };
    let dsn = servers.postgres.fresh_database().await.unwrap();
    let (client, connection) = tokio_postgres::connect(&dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    // A table of ours that somebody else made.
    client.batch_execute("create table agent_jobs (x integer)").await.unwrap();
    let output = migrate(&[("DATABASE_URL", &dsn)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", log(&output));
    assert!(
        log(&output).contains("migration_failed") && log(&output).contains("agent_jobs"),
        "{}",
        log(&output)
    );
}

#[test]
fn a_server_that_never_comes_is_waited_for_only_so_long() {
    // Port 1 of this machine refuses.
    let environment =
        [("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none"), ("MIGRATE_WAIT_SECONDS", "1")];
    let output = migrate(&environment).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", log(&output));
    assert!(log(&output).contains("not reached within 1 s"), "{}", log(&output));
}

#[test]
fn missing_settings_are_named_and_the_exit_code_says_so() {
    let output = migrate(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", log(&output));
    assert!(log(&output).contains("DATABASE_URL"), "{}", log(&output));
}
