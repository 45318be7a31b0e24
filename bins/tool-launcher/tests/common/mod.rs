//! A script host on this package's launcher, and one call of one script.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::path::PathBuf;
use std::sync::Arc;

use agent_executor_core::{Class, ScriptTool, StateView, ToolResult};
use agent_tool_host::conformance::{call_of, script, text_of};
use agent_tool_host::{ScriptHost, ScriptLimits, ScriptSettings, ToolHost as _};
use landlock::{ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
use serde_json::Value;
use tempfile::TempDir;

/// The host, and the folder in which it makes its working folders.
pub struct Rig {
    pub host: ScriptHost,
    pub folder: TempDir,
}

/// What is missing on this machine for scripts to run; asked of the machine, not of the launcher.
pub fn missing() -> Option<String> {
    let python = std::process::Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        return Some("there is no python3".to_owned());
    }
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if let Err(error) = ruleset.handle_access(AccessFs::from_all(ABI::V1)).and_then(landlock::Ruleset::create)
    {
        return Some(format!("this kernel has no Landlock: {error}"));
    }
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    (!actions.contains("user_notif")).then(|| format!("this kernel's seccomp can only: {actions}"))
}

/// The launcher that is tried.
pub fn own() -> Option<PathBuf> {
    Some(env!("CARGO_BIN_EXE_tool-launcher").into())
}

/// `None` where nothing can be tried: said, since nothing was tried then.
pub fn rig_of(settings: ScriptSettings) -> Option<Rig> {
    if let Some(missing) = missing() {
        eprintln!("skipped: {missing}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let launcher = settings.launcher.clone().or_else(own);
    let host = ScriptHost::new(ScriptSettings { launcher, folder: folder.path().to_owned(), ..settings });
    Some(Rig { host, folder })
}

pub fn rig_with(limits: ScriptLimits) -> Option<Rig> {
    rig_of(ScriptSettings { limits, ..ScriptSettings::default() })
}

pub fn rig() -> Option<Rig> {
    rig_with(ScriptLimits::default())
}

impl Rig {
    /// Ends the host and waits until nothing of it is left: every launcher removes its folder as its last act.
    pub async fn ends_clean(self) {
        drop(self.host);
        let mut tries = 0;
        while std::fs::read_dir(self.folder.path()).unwrap().next().is_some() {
            tries += 1;
            assert!(tries < 3_000, "a working folder is still there");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// Calls the tool `it`, defined by this source.
pub async fn run(rig: &Rig, source: &str, args: Value) -> ToolResult {
    run_on(rig, source, args, call_of("it", Value::Null).view).await
}

pub async fn run_on(rig: &Rig, source: &str, args: Value, view: StateView) -> ToolResult {
    let tools: Arc<[ScriptTool]> = Arc::new([script("it", source)]);
    let mut call = call_of("it", args);
    call.view = view;
    let result = rig.host.call(&tools, call, Class::Pure).await;
    result.expect("a pure call is always answered")
}

/// A tool `it` without arguments and with this body.
pub fn tool(body: &str) -> String {
    let indented: String = body.lines().map(|line| format!("    {line}\n")).collect();
    format!("from langchain_core.tools import tool\n@tool\ndef it():\n    'it'\n{indented}")
}

/// Runs the body of a tool `it` without arguments; the answer's text.
pub async fn body(rig: &Rig, body: &str) -> String {
    text_of(&run(rig, &tool(body), Value::Null).await.content)
}
