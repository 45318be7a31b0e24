//! What the supervisor's descendants are and use, wherever they have gone: orphans become its children.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

/// Kernel's ticks a second, the same on every Linux that we know.
const TICKS: u64 = 100;

/// Places in `/proc/…/stat` after the command.
const PARENT: usize = 1;
const OWN_TICKS: std::ops::Range<usize> = 11..13;
const ALL_TICKS: std::ops::Range<usize> = 11..15;
const WAITED_TICKS: std::ops::Range<usize> = 13..15;
const THREADS: usize = 17;
const BEGAN: usize = 19;

/// Sums over all descendants.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) pids: Vec<i32>,
    /// The same with the parent of each.
    pub(crate) parents: Vec<(i32, i32)>,
    pub(crate) threads: usize,
    pub(crate) cpu: Duration,
    /// Memory of their own, without what they share with files. What they share with each other counts for each.
    pub(crate) memory_bytes: u64,
}

/// Looks at the descendants again and again.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Ticks of every process that was ever seen, by id and start. A parent that ignores SIGCHLD makes the kernel
    /// forget what its children used; we do not.
    ticks: BTreeMap<(i32, u64), u64>,
}

impl Tree {
    pub(crate) fn usage(&mut self) -> Usage {
        let mut usage = Usage { pids: descendants(), ..Usage::default() };
        let sum = |fields: &[u64], range: std::ops::Range<usize>| {
            fields.get(range).unwrap_or_default().iter().sum::<u64>()
        };
        // Ticks of children that were waited for; those of the living follow.
        let mut kernel_says = sum(&stat("self").unwrap_or_default(), WAITED_TICKS);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        for pid in &usage.pids {
            let Some(fields) = stat(&pid.to_string()) else { continue };
            let parent = fields.get(PARENT).and_then(|parent| i32::try_from(*parent).ok());
            usage.parents.push((*pid, parent.unwrap_or(0)));
            kernel_says += sum(&fields, ALL_TICKS);
            self.ticks.insert((*pid, fields.get(BEGAN).copied().unwrap_or(0)), sum(&fields, OWN_TICKS));
            usage.threads += usize::try_from(fields.get(THREADS).copied().unwrap_or(1)).unwrap_or(1);
            let Ok(statm) = fs::read_to_string(format!("/proc/{pid}/statm")) else { continue };
            let mut pages = statm.split(' ').skip(1).map(|field| field.parse::<u64>().unwrap_or(0));
            let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
            usage.memory_bytes += resident.saturating_sub(shared) * page;
        }
        let we_saw: u64 = self.ticks.values().sum();
        usage.cpu = Duration::from_millis(kernel_says.max(we_saw) * 1000 / TICKS);
        usage
    }
}

/// The process of a thread; the thread itself where that cannot be told.
pub(crate) fn process_of(thread: u32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let told = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    told.or_else(|| i32::try_from(thread).ok()).unwrap_or(0)
}

/// The same memory counted exactly: what forks share counts once. Slower, so only asked where the sum is too much.
pub(crate) fn exact_memory(pids: &[i32]) -> Option<u64> {
    let mut kib = 0;
    for pid in pids {
        let rollup = match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
            Ok(rollup) => rollup,
            // It has ended meanwhile, or cannot be looked into.
            Err(_) if stat(&pid.to_string()).is_none() => continue,
            Err(_) => return None,
        };
        let parts = rollup.lines().filter_map(|line| {
            let rest = line.strip_prefix("Pss_Anon:").or_else(|| line.strip_prefix("Pss_Shmem:"))?;
            rest.trim().trim_end_matches(" kB").parse::<u64>().ok()
        });
        kib += parts.sum::<u64>();
    }
    Some(kib * 1024)
}

/// Fields of `/proc/…/stat` after the command, so that 0 is the state, 1 the parent; what is no number is 0.
fn stat(pid: &str) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

pub(crate) fn descendants() -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut found = vec![own];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        let Some(children) = children(pid) else { return scanned(own) };
        found.extend(children);
    }
    found.remove(0);
    found
}

/// `None`: this kernel does not tell.
fn children(pid: i32) -> Option<Vec<i32>> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Some(Vec::new()) };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(text) => found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            Err(_) if task.path().exists() => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

fn scanned(own: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, u64)> =
        pids.filter_map(|pid| Some((pid, stat(&pid.to_string())?.get(PARENT).copied()?))).collect();
    let mut found = vec![own];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        found.extend(parents.iter().filter(|(_, of)| i32::try_from(*of) == Ok(parent)).map(|(pid, _)| *pid));
    }
    found.remove(0);
    found
}

/// Takes the next ended child; `Err` where there is none left at all.
pub(crate) fn reap() -> Result<Option<(Pid, WaitStatus)>, ()> {
    rustix::process::wait(WaitOptions::NOHANG).map_err(drop)
}

/// Kills and reaps until nobody is left. Nobody can be added meanwhile: making a process needs the supervisor's leave.
pub(crate) fn kill_all() {
    for _ in 0..5_000 {
        for pid in descendants() {
            if let Some(pid) = Pid::from_raw(pid) {
                rustix::process::kill_process(pid, Signal::KILL).ok();
            }
        }
        loop {
            match reap() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(()) => return,
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
