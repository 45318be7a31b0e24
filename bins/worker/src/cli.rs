//! Commands and their arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs LLM agents as durable jobs.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 clean end, 1 failure while running, 2 wrong settings or usage, \
    3 schema too old, 130 second signal."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take jobs from NATS and over HTTP until told to stop. Settings come from the environment.
    Serve,
    /// Run one job here and now, without any server.
    #[command(
        after_help = "Example: worker run examples/research-team/agent.json --input \"Compare two things.\""
    )]
    Run(RunArgs),
    /// Look at messages that could not be made jobs, and send them again.
    #[command(after_help = "Example: worker dead-letters list --limit 5 && worker dead-letters requeue 42")]
    DeadLetters(DeadLettersArgs),
    /// Print every setting, its value (secrets hidden) and where it came from.
    Config,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The agent definition, a JSON file.
    pub(crate) file: PathBuf,
    /// What the user says. Default: the definition's `user_request`.
    #[arg(long)]
    pub(crate) input: Option<String>,
    /// The conversation to go on with. An interrupted run of it is resumed.
    #[arg(long)]
    pub(crate) thread: Option<String>,
    /// Where state is kept.
    #[arg(long, default_value = ".agent-executor/run.db")]
    pub(crate) store: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// The newest ones.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Only those whose id is below this one.
        #[arg(long)]
        before: Option<i64>,
        /// As a JSON list.
        #[arg(long)]
        json: bool,
    },
    /// One of them, with what is kept of the message.
    Show {
        /// Its id.
        id: i64,
        /// As a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Send one to the job stream again, as it came. It is taken or refused like any other message.
    Requeue {
        /// Its id.
        id: i64,
        /// Where to; default: where it came from.
        #[arg(long)]
        subject: Option<String>,
    },
}
