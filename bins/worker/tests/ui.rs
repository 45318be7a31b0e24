//! The page under `/ui`, in a real headless browser: a running job, a finished one with files, a failed one.
//!
//! `UPDATE_DOCS=1` also writes the pictures of docs/images.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use agent_testkit::{ModelFault, python_or_skip, until};
use common::{PATIENCE, Plan, http, job};

const TOKEN: &str = "a-token-of-this-test";

/// Whether this machine has the browser and its driver.
#[expect(clippy::print_stderr, reason = "a skip is said")]
fn browser() -> bool {
    let answers = |program: &str| {
        let asked =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let found = answers("chromium") && answers("chromedriver");
    if !found {
        eprintln!("skipped: no browser; Debian packages `chromium` and `chromium-driver`");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_a_job_live_its_files_and_its_failure() {
    if !browser() {
        return;
    }
    let Some(python) = python_or_skip("selenium-venv", &["selenium==4.52.0"]) else { return };
    let Some(stack) = Plan::default().env("API_TOKENS", format!("test={TOKEN}")).start().await else {
        return;
    };
    stack.publish(&job("ui-files", "tools")).await;
    assert_eq!(stack.end_of("ui-files").await, "completed");
    stack.model.fail_next([ModelFault::Status(401, None)]);
    stack.publish(&job("ui-failed", "hello")).await;
    assert_eq!(stack.end_of("ui-failed").await, "failed");
    let asked = stack.model.requests();
    stack.publish(&job("ui-live", "subagents_par delay_ms=100")).await;
    until("the job is in work", PATIENCE, async || (stack.model.requests() > asked).then_some(()))
        .await
        .unwrap();

    let (status, _) = http(stack.port, "GET", "/threads", "").await.unwrap();
    assert_eq!(status, 401, "the list is data");
    let (status, _) = http(stack.port, "GET", "/ui/", "").await.unwrap();
    assert_eq!(status, 200, "the page is not");

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pictures = match std::env::var_os("UPDATE_DOCS") {
        Some(_) => root.join("../../docs/images"),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui"),
    };
    std::fs::create_dir_all(&pictures).unwrap();
    let base = format!("http://127.0.0.1:{}", stack.port);
    let looked = tokio::task::spawn_blocking(move || {
        let script = root.join("tests/ui/browser.py");
        Command::new(python).arg(script).args([base.as_str(), TOKEN]).arg(pictures).output()
    });
    let looked = looked.await.unwrap().unwrap();
    let said =
        String::from_utf8_lossy(&looked.stdout).into_owned() + &String::from_utf8_lossy(&looked.stderr);
    assert!(looked.status.success(), "{said}");
}
