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
    Serve(ServeArgs),
    /// Run one job here and now, without any server.
    #[command(
        after_help = "Example: worker run examples/research-team/agent.json --input \"Compare two things.\""
    )]
    Run(RunArgs),
    /// Say everything that is wrong, or may be, with agent definitions: JSON path, problem, fix. Runs nothing.
    #[command(after_help = "Example: worker validate examples/research-team/agent.json\n\
        Exit codes: 0 they can be run, 1 one cannot, 2 one cannot be read.")]
    Validate(ValidateArgs),
    /// Look at messages that could not be made jobs, and send them again.
    #[command(after_help = "Example: worker dead-letters list --limit 5 && worker dead-letters requeue 42")]
    DeadLetters(DeadLettersArgs),
    /// Print every setting, its value (secrets hidden) and where it came from.
    Config,
    /// Make the streams and the consumer in NATS, or bring them to what workers need. Safe to run many times.
    ProvisionNats,
    /// Look at everything that a worker needs, and say what to do about what is wrong.
    Doctor,
    /// Publish a job to the queue.
    #[command(after_help = "Example: worker publish job.json; or from a pipe: jq … | worker publish -")]
    Publish(PublishArgs),
    /// Follow a thread: what the cache has kept of it, then what comes, until the job's end.
    Watch(WatchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The thread; it is the job's id where the job names none.
    pub(crate) thread: String,
    /// Print each event as it is, one line of JSON each.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Take one message, deal with it, and end: for pods that run one job each.
    #[arg(long)]
    pub(crate) one_job: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The job: a JSON file, bare or as a CloudEvent; `-` reads standard input.
    pub(crate) file: PathBuf,
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

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Definitions, JSON files.
    #[arg(required_unless_present = "schema")]
    pub(crate) files: Vec<PathBuf>,
    /// Warnings count as errors.
    #[arg(long)]
    pub(crate) strict: bool,
    /// One JSON object for each finding: file, severity, code, path, problem, fix.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the JSON Schema of definitions, and nothing else.
    #[arg(long)]
    pub(crate) schema: bool,
}
