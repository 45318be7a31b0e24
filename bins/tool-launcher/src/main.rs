//! Starts a Python tool script confined by the kernel, and ends all that it started.
//!
//! `tool-launcher supervise PLAN` stays outside of the sandbox: it starts `tool-launcher confine PLAN`, watches its
//! limits, passes one request at a time and kills every descendant at the end. `confine` gives up its rights and
//! becomes Python. Both are single-threaded, so nothing can be held by another thread between fork and exec.

mod confine;
mod denied;
mod folder;
mod forks;
mod frames;
mod grants;
mod open;
mod output;
mod plan;
mod supervise;
mod tree;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let role = args.next().unwrap_or_default();
    let plan = args.next().unwrap_or_default();
    let outcome = match (role.as_str(), serde_json::from_str(&plan)) {
        ("supervise", Ok(parsed)) => supervise::run(&parsed, &plan),
        ("confine", Ok(parsed)) => confine::run(&parsed),
        (_, Err(error)) => Err(format!("the plan cannot be read: {error}")),
        (_, Ok(_)) => Err("expected `supervise PLAN` or `confine PLAN`; the worker starts this".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            frames::complain(&problem);
            ExitCode::from(2)
        }
    }
}
