//! `deploy/verify.sh` against a stub `kubectl` and a stub worker: all good, and each answer wrong in its turn.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

const READY: &str = "-o jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";

/// What a healthy cluster answers: words of the question, and the answer. The first that fits counts.
fn cluster() -> Vec<(String, String)> {
    let deployment = "get deployment agent-executor";
    let answers = [
        (
            "get applicationset tenant-applications -n argocd",
            "applicationset.argoproj.io/tenant-applications",
        ),
        ("get application bizmatters-workloads * jsonpath={.status.sync.status}", "Synced"),
        ("get application bizmatters-workloads * jsonpath={.status.health.status}", "Healthy"),
        ("get namespace intelligence-deepagents * layer", "intelligence"),
        ("get namespace intelligence-deepagents * category", "deepagents"),
        ("get externalsecret ghcr-pull-secret * READY", "True"),
        ("get externalsecret agent-executor-llm-keys * READY", "True"),
        ("get secret ghcr-pull-secret", "secret/ghcr-pull-secret"),
        ("get secret agent-executor-llm-keys", "secret/agent-executor-llm-keys"),
        ("get secret agent-executor-db-conn", "secret/agent-executor-db-conn"),
        ("get secret agent-executor-dragonfly", "secret/agent-executor-dragonfly"),
        ("get job create-agent-execution-stream", "1"),
        (
            "logs * job/create-agent-execution-stream",
            "stream AGENT_EXECUTION: created stream AGENT_STATUS: created consumer agent-executor-workers: created",
        ),
        ("DEPLOYMENT * initContainers[0].name", "run-migrations"),
        ("DEPLOYMENT * initContainers[0].image", "registry.example/agent-executor:v1.0.0"),
        ("DEPLOYMENT * containers[0].name", "agent-executor"),
        ("DEPLOYMENT * containers[0].image", "registry.example/agent-executor:v1.0.0"),
        ("DEPLOYMENT * requests.cpu", "500m"),
        ("DEPLOYMENT * requests.memory", "1Gi"),
        ("DEPLOYMENT * limits.cpu", "2"),
        ("DEPLOYMENT * limits.memory", "4Gi"),
        ("DEPLOYMENT * imagePullSecrets[0].name", "ghcr-pull-secret"),
        ("get service agent-executor * spec.type", "ClusterIP"),
        ("get service agent-executor * spec.ports[0].port", "8080"),
        ("get scaledobject agent-executor-scaler * triggers[0].type", "nats-jetstream"),
        ("get scaledobject agent-executor-scaler * metadata.stream", "AGENT_EXECUTION"),
        ("get scaledobject agent-executor-scaler * metadata.consumer", "agent-executor-workers"),
        ("get scaledobject agent-executor-scaler * READY", "True"),
        ("get pods * app=agent-executor * metadata.name", "agent-executor-0"),
        ("get pods * app=agent-executor * status.phase", "Running"),
        ("logs * agent-executor-0 -c run-migrations", "{\"event\":\"migrations_applied\"}"),
        (
            "logs * agent-executor-0 -c agent-executor",
            "{\"event\":\"agent_executor_service_starting\",\"level\":\"info\"} {\"event\":\"nats_connected\"}",
        ),
    ];
    let full = |question: &str| question.replace("DEPLOYMENT", deployment).replace("READY", READY);
    answers.iter().map(|(question, answer)| (full(question), (*answer).to_owned())).collect()
}

/// A `kubectl` that answers from the list, and fails on every other question.
fn stub(folder: &Path, answers: &[(String, String)]) -> PathBuf {
    let mut script = String::from("#!/usr/bin/env bash\n");
    script.push_str("if [ \"$1\" = port-forward ]; then exec sleep 20; fi\n");
    for (question, answer) in answers {
        // Each part must stand in the question, in this order.
        let pattern: Vec<String> = question.split(" * ").map(|part| format!("*'{part}'*")).collect();
        let pattern = pattern.join("").replace("**", "*");
        script.push_str(&format!("[[ \"$*\" == {pattern} ]] && {{ echo -n '{answer}'; exit 0; }}\n"));
    }
    script.push_str("echo 'NotFound' >&2; exit 1\n");
    let path = folder.join("kubectl");
    std::fs::write(&path, script).unwrap();
    assert!(Command::new("chmod").arg("755").arg(&path).status().unwrap().success());
    path
}

/// Answers every request like a worker, with this status for `/ready`; ends with the process.
fn worker(ready: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let status = if head.starts_with("GET /ready") { ready } else { 200 };
            let body = "nats_messages_processed_total 0\n";
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .ok();
        }
    });
    port
}

fn verify(name: &str, answers: &[(String, String)], ready: u16) -> (String, bool) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("verify-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/verify.sh"))
        .env("KUBECTL", stub(&folder, answers))
        .env("PORT", worker(ready).to_string())
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).ok();
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

fn failures(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("FAIL")).collect()
}

#[test]
fn a_healthy_cluster_passes_with_a_line_for_each_check() {
    let (text, success) = verify("good", &cluster(), 200);
    assert!(success && failures(&text).is_empty(), "{text}");
    assert!(text.ends_with(" 0 failed\n"), "{text}");
    for task in ["4.6", "4.7", "4.8", "4.9", "4.10", "4.11", "4.12", "4.13", "4.14"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("ok    {task} "))), "{task} in {text}");
    }
}

#[test]
fn each_wrong_answer_is_found() {
    let tasks = ["4.6", "4.9", "4.10", "4.12", "4.13"];
    let wrong = ["OutOfSync", "0", "registry.example/agent-executor:latest", "workers", "CrashLoopBackOff"];
    let places = ["sync.status", "get job", "* containers[0].image", "metadata.consumer", "status.phase"];
    for ((task, wrong), place) in tasks.into_iter().zip(wrong).zip(places) {
        let mut answers = cluster();
        let answer = answers.iter_mut().find(|(question, _)| question.contains(place)).unwrap();
        wrong.clone_into(&mut answer.1);
        let (text, success) = verify(&format!("wrong-{task}"), &answers, 200);
        assert!(!success, "{text}");
        assert!(
            failures(&text).iter().any(|line| line.contains(task) && line.contains(wrong)),
            "{task}: {text}"
        );
    }
}

#[test]
fn a_missing_secret_and_a_pod_that_is_not_ready_are_found() {
    let without: Vec<_> = cluster()
        .into_iter()
        .filter(|(question, _)| !question.contains("secret agent-executor-db-conn"))
        .collect();
    let (text, success) = verify("secret", &without, 503);
    assert!(!success, "{text}");
    let failed = failures(&text);
    assert_eq!(failed.len(), 2, "{text}");
    assert!(failed[0].contains("agent-executor-db-conn") && failed[1].contains("GET /ready"), "{text}");
}
