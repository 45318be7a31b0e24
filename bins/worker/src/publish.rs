//! `worker publish`: a job for the queue, for people without the NATS command line tool.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use agent_config::{Purpose, Settings};
use agent_wire::{JobRequest, Limits};
use anyhow::Context;

use crate::cli::PublishArgs;
use crate::{compose, start};

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn main(args: &PublishArgs) -> ExitCode {
    let settings = match start::settings(Purpose::Embedded) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    start::told(publish(args, &settings))
}

#[expect(clippy::print_stdout, reason = "the answer to whoever typed the command")]
fn publish(args: &PublishArgs, settings: &Settings) -> anyhow::Result<()> {
    let body = read(args)?;
    let limits = Limits { max_bytes: settings.http.body_bytes, max_depth: settings.worker.job_depth };
    // Refused here rather than by a dead letter.
    let job = JobRequest::parse(&body, &[], &limits, None)
        .map_err(|refusal| anyhow::anyhow!("this is no job: {refusal}"))?;
    let (job_id, thread_id) = (job.job_id.to_string(), job.thread_id.to_string());
    let sequence = start::block_on(async {
        let nats = agent_transport_nats::connect(compose::nats(settings)).await?;
        Ok(agent_transport_nats::publish_job(&nats, &job_id, body, PATIENCE).await?)
    })?;
    println!("job {job_id} is message {sequence} of {}", settings.nats.stream);
    println!("follow it: worker watch {thread_id}");
    Ok(())
}

fn read(args: &PublishArgs) -> anyhow::Result<Vec<u8>> {
    if args.file.as_os_str() != "-" {
        return std::fs::read(&args.file).with_context(|| format!("cannot read `{}`", args.file.display()));
    }
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body).context("cannot read standard input")?;
    Ok(body)
}
