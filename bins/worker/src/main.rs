//! The agent executor's worker: composition of the crates, and one short file for each subcommand.

mod cli;
mod compose;
mod config_show;
mod dead_letters;
mod doctor;
mod embedded;
mod provision_nats;
mod publish;
mod run;
mod serve;
mod start;
mod validate;
mod watch;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Every TLS client of the process uses this provider; installing it twice is the only way to fail.
    drop(rustls::crypto::ring::default_provider().install_default());
    match cli::Cli::parse().command {
        cli::Command::Serve(args) => serve::main(&args),
        cli::Command::Run(args) => run::main(args),
        cli::Command::DeadLetters(args) => dead_letters::main(args),
        cli::Command::Validate(args) => validate::main(&args),
        cli::Command::Config => config_show::main(),
        cli::Command::ProvisionNats => provision_nats::main(),
        cli::Command::Doctor => doctor::main(),
        cli::Command::Publish(args) => publish::main(&args),
        cli::Command::Watch(args) => watch::main(&args),
    }
}
