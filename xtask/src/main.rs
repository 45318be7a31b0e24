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

use std::process::ExitCode;

use flags::{Xtask, XtaskCmd};

fn main() -> ExitCode {
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
