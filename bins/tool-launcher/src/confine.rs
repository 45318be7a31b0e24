//! Gives up every right that a script does not need, then becomes Python.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    Scope, path_beneath_rules,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::plan::Plan;
use crate::{denied, forks};

/// Id of packets that come from here and not from the script's side.
pub(crate) const OWN_ID: [u8; 16] = *b"tool-launcher/01";
/// Descriptors that a script may have open.
const MAX_FILES: u64 = 256;

/// Everything here happens between the supervisor's fork and Python's first instruction.
pub(crate) fn run(plan: &Plan) -> Result<(), String> {
    let channel = rustix::io::dup(rustix::stdio::stdin()).map_err(told("channel"))?;
    if let Err(problem) = become_python(plan, channel.as_fd()) {
        tell(channel.as_fd(), &format!("!{problem}"));
    }
    drop(channel);
    Err("not started".to_owned())
}

fn become_python(plan: &Plan, channel: BorrowedFd<'_>) -> Result<(), String> {
    let null = std::fs::File::open("/dev/null").map_err(told("/dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(told("stdin"))?;
    rustix::process::setsid().map_err(told("setsid"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(told("death signal"))?;
    std::env::set_current_dir(&plan.work).map_err(told("working folder"))?;
    limits(plan)?;
    // Where the machine runs out of memory, the script is ended before the worker. Not everywhere to be had.
    std::fs::write("/proc/self/oom_score_adj", "1000").ok();
    let nothing = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, nothing).map_err(told("capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(told("no_new_privs"))?;
    let weak = walls(plan, channel)?;
    tell(channel, &weak);
    let number = rustix::io::dup(channel).map_err(told("channel"))?.into_raw_fd();
    let failed = Command::new(&plan.python)
        .args(["-I", "-B", "-c", &plan.runner, &number.to_string()])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        // Else each thread reserves address space, of which there is only so much.
        .env("MALLOC_ARENA_MAX", "2")
        .env("HOME", &plan.work)
        .env("TMPDIR", &plan.work)
        .exec();
    Err(format!("{}: {failed}", plan.python.display()))
}

fn limits(plan: &Plan) -> Result<(), String> {
    let hard = [
        (Resource::As, plan.memory_bytes, plan.memory_bytes),
        // More than the supervisor allows, which measures each request by itself and names the limit.
        (Resource::Cpu, plan.cpu_seconds * 2 + 1, plan.cpu_seconds * 2 + 2),
        (Resource::Fsize, plan.folder_bytes, plan.folder_bytes),
        (Resource::Nofile, MAX_FILES, MAX_FILES),
        (Resource::Core, 0, 0),
    ];
    for (resource, current, maximum) in hard {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })
            .map_err(told("limits"))?;
    }
    Ok(())
}

/// Landlock and seccomp. What cannot be had is an error, or a text where the operator allows it.
fn walls(plan: &Plan, channel: BorrowedFd<'_>) -> Result<String, String> {
    let mut weak = Vec::new();
    let mut lacking = |problem: String| {
        if !plan.unconfined {
            return Err(problem);
        }
        weak.push(problem);
        Ok(())
    };
    // Newest first: with signals kept inside, then files alone (signals are then refused by seccomp).
    let signals = !plan.first_landlock && landlock(plan, ABI::V6).is_ok();
    if !signals && let Err(problem) = landlock(plan, ABI::V1) {
        lacking(format!("Landlock: {problem}"))?;
    }
    match forks::listen() {
        Ok(listener) => hand_over(channel, Some(&listener)),
        Err(error) => {
            lacking(format!("seccomp user notification: {error}"))?;
            hand_over(channel, None);
        }
    }
    // Last: from here on nothing can be handed over any more.
    let filter = denied::filter(plan.network, signals)?;
    if let Err(error) = seccompiler::apply_filter(&filter) {
        lacking(format!("seccomp: {error}"))?;
    }
    Ok(weak.join("; "))
}

fn landlock(plan: &Plan, abi: ABI) -> Result<(), landlock::RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))?;
    if abi == ABI::V6 {
        ruleset = ruleset.scope(Scope::Signal | Scope::AbstractUnixSocket)?;
        if !plan.network {
            ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
        }
    }
    // Not `/dev/zero`, through which memory can be shared that nobody counts.
    let readable = ["/dev/urandom", "/dev/random"].map(PathBuf::from);
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    ruleset
        .create()?
        .add_rules(path_beneath_rules(&plan.readable, AccessFs::from_read(abi)))?
        .add_rules(path_beneath_rules(readable, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules(["/dev/null"], device))?
        .add_rules(path_beneath_rules([&plan.work], AccessFs::from_all(abi)))?
        .restrict_self()?;
    Ok(())
}

/// The first packet to the supervisor, with the listener where there is one. Where this fails the supervisor is gone,
/// and this process with it.
fn hand_over(channel: BorrowedFd<'_>, listener: Option<&OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let handed: Vec<BorrowedFd<'_>> = listener.iter().map(|listener| listener.as_fd()).collect();
    if !handed.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&handed));
    }
    sendmsg(channel, &[IoSlice::new(&OWN_ID)], &mut control, SendFlags::NOSIGNAL).ok();
}

/// One packet to the supervisor; its text begins with `!` where nothing was started.
fn tell(channel: BorrowedFd<'_>, text: &str) {
    rustix::net::send(channel, &[&OWN_ID, text.as_bytes()].concat(), SendFlags::NOSIGNAL).ok();
}

fn told<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
