//! What people do here: `cargo xtask test`, `tidy`, `containers`, `up`, `down`, `demo`, `bench`,
//! `golden`, `fuzz`, `manifests`, `sim`, `outsiders`, `chaos`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks to its terminal")]

mod bench;
mod chaos;
mod containers;
mod demo;
mod down;
mod fake_model;
mod flags;
mod fuzz;
mod golden;
mod install;
mod job;
mod manifests;
mod outsiders;
mod place;
mod sim;
mod stack;
mod streams;
mod test;
mod tidy;
mod up;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use flags::{Xtask, XtaskCmd};

/// What `cargo run` sets for the program that it starts. Build scripts (ring's is one) watch some of it: a cargo that
/// inherits it would compile again all that the cargo before it has compiled, and the next one once more.
fn is_cargos_own(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Starts this program anew without what `cargo run` has set for it; returns where there is nothing of it, or why not.
fn without_cargos_own() -> std::io::Result<()> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let own: Vec<String> = names.filter(|name| is_cargos_own(name)).collect();
    if own.is_empty() {
        return Ok(());
    }
    let mut anew = Command::new(std::env::current_exe()?);
    anew.args(std::env::args_os().skip(1));
    for name in own {
        anew.env_remove(name);
    }
    Err(anew.exec())
}

fn main() -> ExitCode {
    if let Err(error) = without_cargos_own() {
        eprintln!("xtask: cannot start anew: {error}");
        return ExitCode::FAILURE;
    }
    let done = match Xtask::from_env_or_exit().subcommand {
        XtaskCmd::Test(command) => command.run(),
        XtaskCmd::Tidy(command) => command.run(),
        XtaskCmd::Containers(command) => command.run(),
        XtaskCmd::Up(command) => command.run(),
        XtaskCmd::Down(command) => command.run(),
        XtaskCmd::Demo(command) => command.run(),
        XtaskCmd::Bench(command) => command.run(),
        XtaskCmd::Golden(command) => command.run(),
        XtaskCmd::Fuzz(command) => command.run(),
        XtaskCmd::Manifests(command) => command.run(),
        XtaskCmd::Sim(command) => command.run(),
        XtaskCmd::Chaos(command) => command.run(),
        XtaskCmd::Outsiders(command) => command.run(),
        XtaskCmd::FakeModel(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
