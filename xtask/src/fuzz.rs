//! `cargo xtask fuzz`: every target of fuzz/ for a bounded time.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use xshell::{Shell, cmd};

use crate::flags::Fuzz;
use crate::place;

const TARGETS: [&str; 4] = ["definition", "codec", "sse", "cloud_event"];
const SECONDS: u32 = 60;

impl Fuzz {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sh = place::shell()?;
        let Some(tool) = cargo_fuzz(&sh) else {
            println!("skipped: cargo-fuzz is absent and cannot be installed");
            return Ok(());
        };
        let seconds = self.seconds.unwrap_or(SECONDS).to_string();
        let chosen = TARGETS.iter().filter(|target| self.target.iter().all(|name| name == *target));
        let chosen: Vec<&str> = chosen.copied().collect();
        ensure!(!chosen.is_empty(), "no such target; there are {}", TARGETS.join(", "));
        let Some(toolchain) = toolchain(&sh, &tool, chosen.first().copied().unwrap_or_default()) else {
            println!(
                "skipped: neither a nightly toolchain nor RUSTC_BOOTSTRAP=1 builds the targets (log above)"
            );
            return Ok(());
        };
        let mut failed = Vec::new();
        for target in chosen {
            println!("\nxtask: {target} for {seconds} s, {}", toolchain.name());
            let corpus = seeds(&sh, target)?;
            let limits = [
                format!("-max_total_time={seconds}"),
                "-rss_limit_mb=4096".to_owned(),
                "-timeout=20".to_owned(),
                "-print_final_stats=1".to_owned(),
                "-verbosity=1".to_owned(),
            ];
            let _toolchain = toolchain.push(&sh);
            if cmd!(sh, "nice -n 10 {tool} fuzz run {target} {corpus} -- {limits...}").run().is_err() {
                failed.push(target);
            }
        }
        ensure!(failed.is_empty(), "found something: {} (fuzz/artifacts has the inputs)", failed.join(", "));
        Ok(())
    }
}

/// How the instrumented build is had.
enum Toolchain {
    Nightly,
    Bootstrap,
}

impl Toolchain {
    const fn name(&self) -> &'static str {
        match self {
            Self::Nightly => "nightly toolchain",
            Self::Bootstrap => "RUSTC_BOOTSTRAP=1",
        }
    }

    fn push<'a>(&self, sh: &'a Shell) -> xshell::PushEnv<'a> {
        match self {
            Self::Nightly => sh.push_env("RUSTUP_TOOLCHAIN", "nightly"),
            Self::Bootstrap => sh.push_env("RUSTC_BOOTSTRAP", "1"),
        }
    }
}

/// The first that builds a target.
fn toolchain(sh: &Shell, tool: &Path, target: &str) -> Option<Toolchain> {
    let nightly = cmd!(sh, "rustc --version").env("RUSTUP_TOOLCHAIN", "nightly").quiet().ignore_stderr();
    let choices = [nightly.read().is_ok().then_some(Toolchain::Nightly), Some(Toolchain::Bootstrap)];
    choices.into_iter().flatten().find(|toolchain| {
        println!("xtask: building the targets, {}", toolchain.name());
        let _toolchain = toolchain.push(sh);
        cmd!(sh, "{tool} fuzz build {target}").quiet().run().is_ok()
    })
}

/// cargo-fuzz on PATH, else in target/tools, else installed there.
fn cargo_fuzz(sh: &Shell) -> Option<PathBuf> {
    let own = place::root().join("target/tools/bin/cargo-fuzz");
    let answers =
        |tool: &Path| cmd!(sh, "{tool} --version").quiet().ignore_stdout().ignore_stderr().run().is_ok();
    let found = [PathBuf::from("cargo-fuzz"), own.clone()].into_iter().find(|tool| answers(tool));
    if found.is_some() {
        return found;
    }
    let tools = place::root().join("target/tools");
    println!("xtask: installing cargo-fuzz into target/tools");
    cmd!(sh, "cargo install --quiet --locked --root {tools} cargo-fuzz").quiet().run().ok()?;
    answers(&own).then_some(own)
}

/// The target's corpus with what the repository and the recordings hold as first inputs.
fn seeds(sh: &Shell, target: &str) -> anyhow::Result<PathBuf> {
    let corpus = place::root().join("fuzz/corpus").join(target);
    sh.create_dir(&corpus)?;
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    let shared = place::shared();
    let scenarios = shared
        .iter()
        .flat_map(|shared| sh.read_dir(shared.join("golden/scenarios")).unwrap_or_default().into_iter());
    let definitions = scenarios.map(|folder| folder.join("definition.json"));
    let example = place::root().join("examples/research-team/agent.json");
    let definitions = definitions.chain([example]).filter_map(|path| std::fs::read(path).ok());
    match target {
        "definition" => inputs.extend(definitions),
        "cloud_event" => inputs.extend(definitions.map(|definition| {
            let definition = String::from_utf8_lossy(&definition).into_owned();
            let job =
                format!(r#"{{"job_id": "a", "agent_definition": {definition}, "input_payload": {{}}}}"#);
            format!(r#"{{"specversion": "1.0", "type": "x", "source": "y", "id": "1", "data": {job}}}"#)
                .into_bytes()
        })),
        "sse" => {
            let streams = shared.iter().flat_map(|shared| {
                sh.read_dir(shared.join("golden/wire-examples")).unwrap_or_default().into_iter()
            });
            let streams = streams.filter(|path| path.extension().is_some_and(|end| end == "txt"));
            inputs.extend(streams.filter_map(|path| Some([vec![7], std::fs::read(path).ok()?].concat())));
            inputs.push(b"\x07event: a\ndata: {\"b\": 1}\r\n\r\ndata: 2\n\n".to_vec());
        }
        _ => inputs.extend(vectors(shared.as_deref())),
    }
    for (index, input) in inputs.iter().enumerate() {
        sh.write_file(corpus.join(format!("seed-{index}")), input)?;
    }
    Ok(corpus)
}

/// The recorded serializer vectors, behind the byte that says `msgpack`.
fn vectors(shared: Option<&Path>) -> Vec<Vec<u8>> {
    let text = shared.and_then(|shared| {
        std::fs::read_to_string(shared.join("golden/checkpoint-examples/codec_vectors.json")).ok()
    });
    let vectors: serde_json::Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    let hex = vectors.as_array().into_iter().flatten().filter_map(|vector| vector.get("hex")?.as_str());
    let mut found: Vec<Vec<u8>> = hex.map(unhex).collect();
    found.push(unhex("91a568656c6c6f"));
    found.into_iter().map(|bytes| [vec![0], bytes].concat()).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}
