//! A server process that cannot outlive the tests, and the signals that fault tests send to it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// A user and group to run as: PostgreSQL refuses to run as root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// `Some` when we are root: the account that PostgreSQL runs as.
pub(crate) fn unprivileged() -> Option<Account> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            Some(Account { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        })
    };
    of("postgres").or_else(|| of("nobody"))
}

/// How to start a server; kept to start it again after a fault.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) account: Option<Account>,
    pub(crate) log: PathBuf,
    /// What the kernel sends to the server when the test process dies: `QUIT` lets PostgreSQL end its backends.
    pub(crate) death_signal: &'static str,
}

/// A running server. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Launch {
    pub(crate) fn spawn(&self) -> anyhow::Result<Process> {
        let log =
            File::options().create(true).append(true).open(&self.log).context("open the server's log")?;
        let mut command = match setpriv() {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", self.death_signal, "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(&self.args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.current_dir("/").process_group(0);
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        let child = spawn_from_lasting_thread(command)
            .with_context(|| format!("start {}", self.program.display()))?;
        Ok(Process { child })
    }

    /// The end of the server's log, for error messages.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
    }
}

impl Process {
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends `signal` to the server alone.
    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Sends `signal` to the server and to all that it has started: PostgreSQL's backends leave its process group.
    pub(crate) fn signal_all(&self, signal: Signal) {
        send(self.child.id(), signal);
        for pid in descendants(self.child.id()) {
            send(pid, signal);
        }
    }

    /// `kill -9`, as a power cut would: nothing is flushed.
    pub(crate) fn kill(&mut self) {
        // Stopped first, so that the server can start nothing new between the look and the kill.
        self.signal(Signal::STOP);
        let started = descendants(self.child.id());
        self.signal(Signal::KILL);
        for pid in &started {
            send(*pid, Signal::KILL);
        }
        self.end_within(Duration::from_secs(5));
    }

    /// Waits for the end; past `limit` the process is killed.
    pub(crate) fn end_within(&mut self, limit: Duration) {
        let begun = Instant::now();
        while self.exited().is_none() {
            if begun.elapsed() > limit {
                self.signal_all(Signal::KILL);
                // Nothing is left to do where even this fails.
                self.child.wait().ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exited().is_none() {
            self.kill();
        }
    }
}

/// The death signal follows the *thread* that started the child, and test threads end early: so all servers are
/// started by one thread that lives as long as the process.
fn spawn_from_lasting_thread(command: Command) -> anyhow::Result<Child> {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                // The asker may be gone; its child then ends with the dropped handle's process at exit.
                answer.send(command.spawn()).ok();
            }
        });
        Mutex::new(orders)
    });
    let (answer, child) = channel();
    starter.lock().map_err(|_| anyhow::anyhow!("the starting thread has died"))?.send((command, answer))?;
    Ok(child.recv()??)
}

fn setpriv() -> Option<&'static Path> {
    ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().map(Path::new).find(|path| path.is_file())
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // A process that is gone needs no signal.
        kill_process(pid, signal).ok();
    }
}

/// All processes below `root`, read from /proc; none where there is no /proc.
fn descendants(root: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pairs: Vec<(u32, u32)> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(pairs.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}
