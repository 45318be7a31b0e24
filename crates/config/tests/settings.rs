//! What an operator sets, and what comes of it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::{io::Write as _, path::Path, time::Duration};

use agent_config::{
    ConfigError, Dependency, Environment, OpenAiApi, Problem, Purpose, Settings, Source, SslMode,
    configuration_page, env::AREAS,
};

const SECRET: &str = "hunter2-canary";

fn load(pairs: &[(&str, &str)], purpose: Purpose) -> Result<Settings, ConfigError> {
    Settings::load(&Environment::from_pairs(pairs.iter().copied()), purpose)
}

/// As for `worker serve`, with the two servers given where `pairs` does not.
fn serve(pairs: &[(&str, &str)]) -> Settings {
    let servers = [("POSTGRES_HOST", "db"), ("DRAGONFLY_HOST", "cache")];
    let all: Vec<(&str, &str)> = servers.into_iter().chain(pairs.iter().copied()).collect();
    load(&all, Purpose::Serve).unwrap()
}

fn faults(pairs: &[(&str, &str)], purpose: Purpose) -> Vec<String> {
    let error = load(pairs, purpose).expect_err("refused");
    error.problems.iter().map(ToString::to_string).collect()
}

fn text(secret: Option<&secrecy::SecretString>) -> Option<String> {
    secret.map(|secret| secrecy::ExposeSecret::expose_secret(secret).to_owned())
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn the_defaults_are_the_seeds() {
    let settings = serve(&[]);
    assert_eq!(settings.postgres.port, 5432);
    assert_eq!(
        (settings.postgres.db.as_str(), settings.postgres.user.as_str()),
        ("langgraph_dev", "postgres")
    );
    assert_eq!(settings.dragonfly.port, 6379);
    assert_eq!(settings.nats.url.as_str(), "nats://nats.nats.svc:4222");
    assert_eq!(settings.nats.stream, "AGENT_EXECUTION");
    assert_eq!(settings.nats.consumer, "agent-executor-workers");
    assert_eq!((settings.http.host.as_str(), settings.http.port), ("0.0.0.0", 8080));
    assert_eq!(settings.worker.concurrency, 32);
    assert_eq!(settings.worker.drain_budget, Duration::from_secs(25));
    assert_eq!(settings.models.idle_timeout, Duration::from_secs(300));
    assert_eq!(settings.models.openai_api, OpenAiApi::Auto);
    assert_eq!(settings.retention.threads, None);
    assert_eq!(settings.retention.events, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(settings.http.ready_requires.len(), 3);
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn every_naming_scheme_is_read_and_the_first_one_wins() {
    for (host, port, db, user, password) in [
        ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"),
        ("PG_HOST", "PG_PORT", "PG_DATABASE", "PG_USER", "PG_PASSWORD"),
        ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"),
    ] {
        let pairs = [(host, "h"), (port, "6000"), (db, "d"), (user, "u"), (password, SECRET)];
        let postgres = load(&pairs, Purpose::Migrate).unwrap().postgres;
        let read = (postgres.host.as_str(), postgres.port, postgres.db.as_str(), postgres.user.as_str());
        assert_eq!(read, ("h", 6000, "d", "u"), "{host}");
        assert_eq!(text(postgres.password.as_ref()).as_deref(), Some(SECRET));
    }
    let both =
        load(&[("PGHOST", "third"), ("PG_HOST", "second"), ("POSTGRES_HOST", "first")], Purpose::Migrate);
    assert_eq!(both.unwrap().postgres.host, "first");

    let cache =
        [("POSTGRES_HOST", "db"), ("REDIS_HOST", "r"), ("REDIS_PORT", "7000"), ("REDIS_PASSWORD", SECRET)];
    let cache = load(&cache, Purpose::Serve).unwrap().dragonfly;
    assert_eq!((cache.host.as_str(), cache.port), ("r", 7000));
    let url = [("DATABASE_URL", "postgres://db/x"), ("REDIS_URL", "rediss://:p@cache:1")];
    assert_eq!(
        text(load(&url, Purpose::Serve).unwrap().dragonfly.url.as_ref()).unwrap(),
        "rediss://:p@cache:1"
    );
    let base = serve(&[("OPENAI_API_BASE", "http://old/v1")]).models.openai_base_url;
    assert_eq!(base.unwrap().as_str(), "http://old/v1");
}

#[test]
fn a_connection_string_keeps_what_drivers_know_and_gives_up_what_is_libpqs() {
    for (given, kept, mode, root) in [
        ("postgresql://u:p@h:5/d", "postgresql://u:p@h:5/d", SslMode::Prefer, None),
        ("postgresql+psycopg://u:p@h/d", "postgresql://u:p@h/d", SslMode::Prefer, None),
        (
            "postgres://h/d?sslmode=verify-full&connect_timeout=3",
            "postgres://h/d?connect_timeout=3",
            SslMode::VerifyFull,
            None,
        ),
        (
            "postgres://h/d?sslmode=require&sslrootcert=%2Fca.pem",
            "postgres://h/d",
            SslMode::Require,
            Some("/ca.pem"),
        ),
        ("host=h dbname=d sslmode=disable user=u", "host=h dbname=d user=u", SslMode::Disable, None),
    ] {
        let postgres = load(&[("DATABASE_URL", given)], Purpose::Migrate).unwrap().postgres;
        assert_eq!(text(postgres.dsn.as_ref()).as_deref(), Some(kept));
        assert_eq!(
            (postgres.ssl_mode, postgres.ssl_root_cert.as_deref()),
            (mode, root.map(Path::new)),
            "{given}"
        );
    }
    let uri = load(&[("POSTGRES_URI", "postgres://h/d"), ("POSTGRES_SSLMODE", "require")], Purpose::Migrate);
    assert_eq!(uri.unwrap().postgres.ssl_mode, SslMode::Require);
}

#[test]
fn what_is_missing_is_told_with_every_name_that_would_do() {
    assert_eq!(
        faults(&[], Purpose::Serve),
        [
            "PostgreSQL is not set: set one of `DATABASE_URL`, `POSTGRES_URI`, `POSTGRES_HOST`, `PG_HOST` or `PGHOST`",
            "Dragonfly is not set: set one of `REDIS_URL`, `DRAGONFLY_HOST` or `REDIS_HOST`",
        ]
    );
    assert_eq!(
        faults(&[("DRAGONFLY_HOST", "cache")], Purpose::Migrate).len(),
        1,
        "the migration needs no cache"
    );
    assert!(load(&[], Purpose::Embedded).is_ok(), "an embedded run needs no server");
    assert_eq!(
        faults(&[("POSTGRES_HOST", " "), ("REDIS_HOST", "")], Purpose::Serve).len(),
        2,
        "empty is not set"
    );
}

#[test]
fn all_faults_are_told_at_once_each_with_name_kind_and_value() {
    let pairs = [
        ("POSTGRES_HOST", "https://db"),
        ("PGPORT", "70000"),
        ("POSTGRES_SSLMODE", "maybe"),
        ("DRAGONFLY_HOST", "cache"),
        ("DRAGONFLY_TLS", "perhaps"),
        ("NATS_URL", "http://nats"),
        ("WORKER_CONCURRENCY", "0"),
        ("MODEL_RETRIES", "many"),
        ("READY_REQUIRES", "postgres,oracle"),
    ];
    assert_eq!(
        faults(&pairs, Purpose::Serve),
        [
            "`POSTGRES_HOST`: expected a host name or address without scheme and port, found `https://db`",
            "`PGPORT`: expected a port, 1 to 65535, found `70000`",
            "`POSTGRES_SSLMODE`: expected `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`, found `maybe`",
            "`DRAGONFLY_TLS`: expected `true` or `false`, found `perhaps`",
            "`NATS_URL`: expected server addresses like `nats://host:4222`, comma-separated, found `http://nats`",
            "`READY_REQUIRES`: expected some of `postgres`, `nats` or `dragonfly`, comma-separated, found `postgres,oracle`",
            "`WORKER_CONCURRENCY`: expected a whole number, 1 to 10000, found `0`",
            "`MODEL_RETRIES`: expected a whole number, 0 to 20, found `many`",
        ]
    );
}

#[test]
fn no_error_and_no_debug_output_shows_a_secret() {
    let url = format!("mysql://u:{SECRET}@h/d");
    let tokens = format!("no-name-{SECRET}");
    let nats = format!("http://u:{SECRET}@nats");
    let pairs =
        [("DATABASE_URL", url.as_str()), ("REDIS_URL", &url), ("API_TOKENS", &tokens), ("NATS_URL", &nats)];
    let faults = faults(&pairs, Purpose::Serve);
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(!faults.concat().contains(SECRET), "{faults:?}");

    let nats = format!("nats://u:{SECRET}@nats");
    let settings = serve(&[("POSTGRES_PASSWORD", SECRET), ("OPENAI_API_KEY", SECRET), ("NATS_URL", &nats)]);
    assert!(!format!("{settings:?}").contains(SECRET), "{settings:?}");
    assert!(!format!("{:?}", settings.explain()).contains(SECRET), "{:?}", settings.explain());
}

#[test]
fn every_secret_can_be_a_file_and_a_missing_file_is_named() {
    for var in AREAS
        .iter()
        .flat_map(|(_, _, variables)| variables.iter())
        .filter(|var| var.secret && var.name != "API_TOKENS")
    {
        for name in [var.name].iter().chain(var.also) {
            let variable = format!("{name}_FILE");
            let found = faults(&[(&variable, "/does/not/exist")], Purpose::Embedded);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].starts_with(&format!("`{variable}`: cannot read the file `/does/not/exist`")),
                "{found:?}"
            );
        }
    }
    let password = file(&format!("{SECRET}\n"));
    let path = password.path().to_str().unwrap();
    let settings = serve(&[("POSTGRES_PASSWORD_FILE", path)]);
    assert_eq!(text(settings.postgres.password.as_ref()).as_deref(), Some(SECRET), "without the line end");
    let shown = settings.explain().into_iter().find(|(name, _, _)| *name == "POSTGRES_PASSWORD").unwrap();
    let source = Source::File { path: path.into(), line: None };
    assert_eq!(shown, ("POSTGRES_PASSWORD", "[REDACTED]".to_owned(), source));

    let both = faults(&[("PGPASSWORD", "x"), ("PGPASSWORD_FILE", path)], Purpose::Embedded);
    assert_eq!(both, ["`PGPASSWORD` and `PGPASSWORD_FILE` are both set: keep one of them"]);
}

#[test]
fn each_setting_is_explained_once_with_its_source() {
    let settings = serve(&[("PGUSER", "anna"), ("OPENAI_API_KEY", SECRET)]);
    let shown = settings.explain();
    let names: Vec<&str> = shown.iter().map(|(name, _, _)| *name).collect();
    let mut listed: Vec<&str> =
        AREAS.iter().flat_map(|(_, _, vars)| vars.iter()).map(|var| var.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    listed.sort_unstable();
    assert_eq!(sorted, listed);
    let of = |wanted: &str| shown.iter().find(|(name, _, _)| *name == wanted).unwrap();
    assert_eq!(of("POSTGRES_USER").1, "anna");
    assert_eq!(of("POSTGRES_USER").2.to_string(), "environment PGUSER");
    assert_eq!(of("OPENAI_API_KEY").1, "[REDACTED]");
    assert_eq!((of("PORT").1.as_str(), &of("PORT").2), ("8080", &Source::Default));
    assert_eq!(of("METRICS_PORT").1, "unset");
}

#[test]
fn a_file_of_assignments_stands_behind_the_environment() {
    let dotenv = file(
        "# local\nexport PGHOST='from-file'\nDRAGONFLY_HOST=cache\n\nPORT=9000 # not 8080\nPGUSER=file\n",
    );
    let environment =
        Environment::from_pairs([("PORT", "9100"), ("POSTGRES_USER", "env")]).with_file(dotenv.path());
    let settings = Settings::load(&environment.unwrap(), Purpose::Serve).unwrap();
    assert_eq!((settings.postgres.host.as_str(), settings.postgres.user.as_str()), ("from-file", "env"));
    assert_eq!(settings.http.port, 9100);
    let host = settings.explain().into_iter().find(|(name, _, _)| *name == "POSTGRES_HOST").unwrap();
    assert_eq!(host.2, Source::File { path: dotenv.path().to_owned(), line: Some(2) });

    // A name of the environment that is tried later still goes before the file.
    let dotenv = file("POSTGRES_HOST=file\n");
    let environment = Environment::from_pairs([("PGHOST", "env")]).with_file(dotenv.path()).unwrap();
    assert_eq!(Settings::load(&environment, Purpose::Migrate).unwrap().postgres.host, "env");

    let broken = file(&format!("PORT=1\n{SECRET}\n"));
    let error = Environment::from_pairs([("A", "b")]).with_file(broken.path()).err().unwrap().to_string();
    assert!(error.contains("line 2: expected `NAME=value`") && !error.contains(SECRET), "{error}");
}

#[test]
fn what_kubernetes_injects_for_a_service_is_no_port() {
    let settings = serve(&[("DRAGONFLY_PORT", "tcp://10.0.0.7:6379"), ("REDIS_PORT", "7000")]);
    assert_eq!(settings.dragonfly.port, 7000);
    assert_eq!(settings.warnings.len(), 1);
    assert!(settings.warnings[0].to_string().starts_with("`DRAGONFLY_PORT`: holds a service's address"));
}

#[test]
fn a_near_miss_is_warned_about_and_foreign_names_are_not() {
    let settings =
        serve(&[("WORKER_CONCURENCY", "9"), ("KUBERNETES_SERVICE_HOST", "x"), ("LANG", "C"), ("HOME", "/")]);
    let said: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["`WORKER_CONCURENCY`: is not read; did you mean `WORKER_CONCURRENCY`?"]);
}

#[test]
fn credentials_of_nats_exclude_each_other() {
    let found = faults(&[("NATS_TOKEN", "t"), ("NATS_CREDS_FILE", "/c")], Purpose::Embedded);
    assert_eq!(
        found,
        [
            "`NATS_CREDS_FILE` and `NATS_TOKEN` are both set: a connection has one kind of credentials; keep one of them"
        ]
    );
    let found = faults(&[("NATS_USER", "u")], Purpose::Embedded);
    assert_eq!(found, ["the password of `NATS_USER` is not set: set `NATS_PASSWORD`"]);
}

#[test]
fn tokens_have_names_and_may_be_demanded() {
    let settings = serve(&[("API_TOKENS", "ide=abc=, ci=def"), ("HTTP_REQUIRE_AUTH", "true")]);
    let tokens: Vec<(&str, Option<String>)> =
        settings.http.tokens.iter().map(|token| (token.name.as_str(), text(Some(&token.token)))).collect();
    assert_eq!(tokens, [("ide", Some("abc=".to_owned())), ("ci", Some("def".to_owned()))]);
    let servers = [("POSTGRES_HOST", "db"), ("DRAGONFLY_HOST", "cache"), ("HTTP_REQUIRE_AUTH", "true")];
    let error = load(&servers, Purpose::Serve).unwrap_err();
    assert!(
        matches!(&error.problems[..], [Problem::Missing { names, .. }] if names.contains(&"API_TOKENS_FILE")),
        "{error}"
    );
    let file = serve(&[("API_TOKENS_FILE", "/etc/tokens"), ("HTTP_REQUIRE_AUTH", "true")]).http;
    assert_eq!(file.tokens_file.as_deref(), Some(Path::new("/etc/tokens")), "read by whoever watches it");
}

#[test]
fn readiness_may_need_less() {
    let needs = serve(&[("READY_REQUIRES", "postgres, nats")]).http.ready_requires;
    assert_eq!(needs.into_iter().collect::<Vec<_>>(), [Dependency::Postgres, Dependency::Nats]);
    assert!(serve(&[("READY_REQUIRES", "none")]).http.ready_requires.is_empty());
}

#[test]
fn secrets_include_the_passwords_inside_connection_strings() {
    let settings = serve(&[
        ("DATABASE_URL", "postgres://u:p%40ss%2Bword@h/d?application_name=x"),
        ("NATS_URL", "nats://u:natsword@a:1,nats://b:2"),
        ("OPENAI_API_KEY", "sk-1"),
    ]);
    let secrets = settings.secrets();
    for secret in ["p%40ss%2Bword", "p@ss+word", "natsword", "sk-1"] {
        assert!(secrets.iter().any(|known| known == secret), "{secret}: {secrets:?}");
    }
}

/// `UPDATE_DOCS=1 cargo test -p agent-config` writes the page.
#[test]
fn the_page_about_configuration_is_made_from_the_list() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, configuration_page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == configuration_page(),
        "docs/configuration.md is old; UPDATE_DOCS=1 cargo test -p agent-config"
    );
}
