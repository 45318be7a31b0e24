//! `deploy/set.sh` on a copy: a changed setting reaches every line that takes it, and nothing else changes.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::path::Path;
use std::process::Command;

/// Every file of a folder, as one text.
fn all(folder: &Path) -> String {
    let mut command = Command::new("bash");
    command.args(["-c", "find . -name '*.yaml' | sort | xargs cat"]).current_dir(folder);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn a_changed_setting_reaches_every_line_that_takes_it() {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("set-{}", std::process::id()));
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    assert!(Command::new("cp").arg("-r").args([&deploy, &copy]).status().unwrap().success());
    let before = all(&copy);
    let settings = std::fs::read_to_string(copy.join("settings.env")).unwrap();
    let old = settings.lines().find_map(|line| line.strip_prefix("IMAGE=")).unwrap().to_owned();
    let new = "registry.example/a&b|c/agent-executor:v9.9.9";
    std::fs::write(copy.join("settings.env"), settings.replace(&old, new)).unwrap();

    let set = || Command::new("bash").arg(copy.join("set.sh")).output().unwrap();
    let first = set();
    assert!(first.status.success());
    let told = String::from_utf8(first.stdout).unwrap();
    assert!(told.contains("agent-executor-deployment.yaml") && told.contains("nats-stream.yaml"), "{told}");
    let lines = before.matches("# setting: IMAGE").count();
    assert!(lines >= 6);
    let after = all(&copy);
    assert_eq!(after.matches(&format!("{new} # setting: IMAGE")).count(), lines);
    assert_eq!(after.replace(new, &old), before, "nothing else changes");
    assert_eq!(set().stdout, b"", "the second time there is nothing to do");
    std::fs::remove_dir_all(&copy).ok();
}
