//! Stays outside: passes requests to the script's side, watches its limits, ends all that it started.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
};
use rustix::process::WaitStatus;

use crate::confine::OWN_ID;
use crate::forks::Forks;
use crate::frames::{self, Outcome, Report, Request};
use crate::grants::Grants;
use crate::output::Kept;
use crate::plan::Plan;
use crate::tree::{self, Tree, Usage};
use crate::{folder, open};

/// Bytes of a message in one packet; the runner uses the same.
const PIECE: usize = 60_000;
const HEAD: usize = 24;
/// How often limits are looked at while a request runs, and while nothing does.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(1000);
/// Threads for each process that is allowed.
const THREADS_EACH: usize = 4;
/// A reply holds names and quotes besides the result.
const REPLY_ROOM: usize = 64 << 10;

struct Pending {
    id: [u8; 16],
    last: bool,
    until: Instant,
    cpu_before: Duration,
    reply: Vec<u8>,
    expected: Option<usize>,
}

struct Session<'a> {
    plan: &'a Plan,
    child: Child,
    ended: Option<WaitStatus>,
    channel: OwnedFd,
    forks: Option<Forks>,
    grants: Grants,
    tree: Tree,
    forks_refused: u64,
    stdout: Kept<ChildStdout>,
    stderr: Kept<ChildStderr>,
    pending: Option<Pending>,
    requests: u64,
}

/// Runs until the worker closes its end, the last request is answered or a limit is hit.
pub(crate) fn run(plan: &Plan, text: &str) -> Result<(), String> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(told("subreaper"))?;
    let held = folder::make(&plan.work).map_err(told("working folder"))?;
    let done = Session::start(plan, text).and_then(|mut session| {
        let ended = session.serve();
        // Nobody may live on while the report is written.
        tree::kill_all();
        ended.map(|ended| ended.map(|ended| session.finished(ended)))
    });
    tree::kill_all();
    folder::remove(&plan.work).map_err(told("removing the working folder"))?;
    drop(held);
    match done? {
        Some((report, reply)) => frames::write_report(&report, &reply).map_err(told("report")),
        None => Ok(()),
    }
}

/// How it all ended, and the reply where there is one.
type Ended = (Outcome, String, Vec<u8>);

impl<'a> Session<'a> {
    fn start(plan: &'a Plan, text: &str) -> Result<Self, String> {
        let flags = SocketFlags::CLOEXEC;
        let (channel, inner) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
                .map_err(told("channel"))?;
        let wall = Some(Duration::from_millis(plan.wall_ms));
        rustix::net::sockopt::set_socket_timeout(&channel, rustix::net::sockopt::Timeout::Send, wall)
            .map_err(told("channel"))?;
        let mut child = Command::new("/proc/self/exe")
            .args(["confine", text])
            .env_clear()
            .stdin(Stdio::from(inner))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(told("confine"))?;
        let stdout = Kept::new(child.stdout.take(), plan.output_bytes);
        let stderr = Kept::new(child.stderr.take(), plan.output_bytes);
        let (weak, listener) = status(&channel)?;
        frames::write_report(&Report::new(Outcome::Ready, weak), &[]).map_err(told("report"))?;
        Ok(Self {
            plan,
            child,
            ended: None,
            channel,
            forks: listener.map(Forks::new),
            grants: Grants::default(),
            tree: Tree::default(),
            forks_refused: 0,
            stdout,
            stderr,
            pending: None,
            requests: 0,
        })
    }

    /// `None`: the worker has gone away.
    fn serve(&mut self) -> Result<Option<Ended>, String> {
        let mut looked = Instant::now();
        loop {
            let every = if self.pending.is_some() { BUSY } else { IDLE };
            let ready = self.wait(every).map_err(told("poll"))?;
            self.stdout.read(ready.stdout);
            self.stderr.read(ready.stderr);
            if ready.forks {
                self.decide();
            }
            if ready.channel
                && let Some(ended) = self.packet(ready.hung_up)?
            {
                return Ok(Some(ended));
            }
            if ready.host {
                match frames::read_request().map_err(told("request"))? {
                    Some(request) => self.pass_on(request)?,
                    None => return Ok(None),
                }
            }
            if looked.elapsed() >= BUSY || ready.nothing() {
                looked = Instant::now();
                if let Some(ended) = self.over_a_limit() {
                    return Ok(Some(ended));
                }
            }
        }
    }

    fn wait(&self, every: Duration) -> io::Result<Ready> {
        let stdin = rustix::stdio::stdin();
        let wanted = PollFlags::IN;
        // While a request runs the worker only closes, or it would be answered out of order.
        let mut fds = vec![PollFd::from_borrowed_fd(stdin, wanted), PollFd::new(&self.channel, wanted)];
        fds.extend(self.forks.iter().map(|forks| PollFd::from_borrowed_fd(forks.fd(), wanted)));
        let outputs = fds.len();
        fds.extend(self.stdout.from.iter().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), wanted)));
        let errors = fds.len();
        fds.extend(self.stderr.from.iter().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), wanted)));
        let every = Timespec::try_from(every).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&every)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let told = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready {
            host: told(0),
            channel: told(1),
            hung_up: fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::HUP)),
            forks: self.forks.is_some() && told(2),
            stdout: outputs < errors && told(outputs),
            stderr: told(errors),
        })
    }

    fn look(&mut self) -> Usage {
        let usage = self.tree.usage();
        self.grants
            .look(&usage.parents, Instant::now(), |asker| Path::new(&format!("/proc/{asker}")).exists());
        usage
    }

    /// Grants or refuses new processes and threads.
    fn decide(&mut self) {
        let Some(wish) = self.forks.as_ref().and_then(Forks::next) else { return };
        self.grants.asks(wish.asker);
        let usage = self.look();
        let (there, most) = match wish.thread {
            true => (usage.threads, self.plan.processes * THREADS_EACH),
            false => (usage.pids.len(), self.plan.processes),
        };
        let granted = there + self.grants.unseen(wish.thread) < most;
        if granted {
            self.grants.grant(wish.asker, tree::process_of(wish.asker), wish.thread, Instant::now());
        } else {
            self.forks_refused += 1;
        }
        if let Some(forks) = &self.forks {
            forks.answer(&wish, granted);
        }
    }

    fn pass_on(&mut self, request: Request) -> Result<(), String> {
        self.requests += 1;
        let id = random_id().map_err(told("request id"))?;
        self.pending = Some(Pending {
            id,
            last: request.last,
            until: Instant::now() + Duration::from_millis(self.plan.wall_ms),
            cpu_before: self.tree.usage().cpu,
            reply: Vec::new(),
            expected: None,
        });
        let total = u32::try_from(request.payload.len()).map_err(told("request"))?;
        let mut offset = 0_u32;
        for piece in request.payload.chunks(PIECE) {
            let mut packet = Vec::with_capacity(HEAD + piece.len());
            packet.extend_from_slice(&id);
            packet.extend_from_slice(&total.to_be_bytes());
            packet.extend_from_slice(&offset.to_be_bytes());
            packet.extend_from_slice(piece);
            offset += u32::try_from(piece.len()).unwrap_or(0);
            if rustix::net::send(&self.channel, &packet, SendFlags::NOSIGNAL).is_err() {
                break; // It has died, or does not read: the next look at its limits names it.
            }
        }
        Ok(())
    }

    /// One packet of the script's side. What does not carry the request's id is nobody's and is dropped.
    fn packet(&mut self, hung_up: bool) -> Result<Option<Ended>, String> {
        let mut bytes = vec![0; HEAD + PIECE];
        let (length, _) = rustix::net::recv(&self.channel, &mut bytes, RecvFlags::DONTWAIT).unwrap_or((0, 0));
        if length == 0 {
            // An empty packet looks like the end, which anybody on the other side can send.
            self.collect();
            return Ok((hung_up || self.ended.is_some()).then(|| self.died()));
        }
        let packet = bytes.get(..length).unwrap_or_default();
        if let Some(problem) = packet.strip_prefix(&OWN_ID)
            && self.requests <= 1
        {
            return Ok(Some((Outcome::Died, String::from_utf8_lossy(problem).into_owned(), Vec::new())));
        }
        let Some(pending) = &mut self.pending else { return Ok(None) };
        let (Some((head, piece)), true) = (packet.split_at_checked(HEAD), packet.starts_with(&pending.id))
        else {
            return Ok(None);
        };
        let number = |at: usize| {
            head.get(at..at + 4)
                .and_then(|four| four.try_into().ok())
                .map_or(0, |four| u32::from_be_bytes(four) as usize)
        };
        let (total, offset) = (number(16), number(20));
        if total > self.plan.result_bytes + REPLY_ROOM {
            return Ok(Some((Outcome::Result, format!("{total} bytes"), Vec::new())));
        }
        if offset != pending.reply.len() || *pending.expected.get_or_insert(total) != total {
            return Ok(None);
        }
        pending.reply.extend_from_slice(piece);
        if pending.reply.len() < total {
            return Ok(None);
        }
        self.replied()
    }

    fn replied(&mut self) -> Result<Option<Ended>, String> {
        // A limit that was passed between two looks still counts.
        if let Some(ended) = self.over_a_limit() {
            return Ok(Some(ended));
        }
        let Some(pending) = self.pending.take() else { return Ok(None) };
        if pending.last {
            return Ok(Some((Outcome::Reply, String::new(), pending.reply)));
        }
        let report = Report::new(Outcome::Reply, String::new());
        frames::write_report(&report, &pending.reply).map_err(told("report"))?;
        Ok(None)
    }

    fn over_a_limit(&mut self) -> Option<Ended> {
        self.collect();
        let usage = self.look();
        let ended = |outcome, detail: String| Some((outcome, detail, Vec::new()));
        let before = self.pending.as_ref().map_or(Duration::ZERO, |pending| pending.cpu_before);
        if usage.cpu.saturating_sub(before) > Duration::from_secs(self.plan.cpu_seconds) {
            return ended(Outcome::Cpu, String::new());
        }
        if self.ended.is_some() {
            return Some(self.died());
        }
        if self.pending.as_ref().is_some_and(|pending| Instant::now() >= pending.until) {
            return ended(Outcome::Wall, String::new());
        }
        let open = open::of(&usage.pids, &self.plan.work);
        if usage.memory_bytes + open.socket_bytes > self.plan.memory_bytes {
            let exact = tree::exact_memory(&usage.pids).unwrap_or(usage.memory_bytes) + open.socket_bytes;
            if exact > self.plan.memory_bytes {
                return ended(Outcome::Memory, format!("{exact} bytes"));
            }
        }
        if usage.pids.len() > self.plan.processes {
            return ended(Outcome::Processes, format!("{} processes", usage.pids.len()));
        }
        let limit = self.plan.folder_bytes;
        (folder::taken(&self.plan.work, open.deleted_bytes, limit) > limit)
            .then(|| (Outcome::Folder, String::new(), Vec::new()))
    }

    /// Reaps whoever has ended and remembers how the interpreter did.
    fn collect(&mut self) {
        while let Ok(Some((pid, status))) = tree::reap() {
            if u32::try_from(pid.as_raw_nonzero().get()) == Ok(self.child.id()) {
                self.ended = Some(status);
            }
        }
    }

    fn died(&self) -> Ended {
        let detail = match self.ended {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "an unknown status".to_owned(),
            },
            None => "its channel closed".to_owned(),
        };
        let cpu = self.ended.and_then(WaitStatus::terminating_signal) == Some(libc::SIGXCPU);
        (if cpu { Outcome::Cpu } else { Outcome::Died }, detail, Vec::new())
    }

    fn finished(&mut self, (outcome, detail, reply): Ended) -> (Report, Vec<u8>) {
        self.stdout.read(true);
        self.stderr.read(true);
        let mut report = Report::new(outcome, detail);
        report.stdout = String::from_utf8_lossy(&self.stdout.bytes).into_owned();
        report.stderr = String::from_utf8_lossy(&self.stderr.bytes).into_owned();
        report.forks_refused = self.forks_refused;
        (report, reply)
    }
}

#[derive(Debug)]
struct Ready {
    host: bool,
    channel: bool,
    hung_up: bool,
    forks: bool,
    stdout: bool,
    stderr: bool,
}

impl Ready {
    const fn nothing(&self) -> bool {
        !(self.host || self.channel || self.forks || self.stdout || self.stderr)
    }
}

/// The confined side's first packets: the listener for its forks, then what it lacks. Where it fails before the first,
/// the failure is the first.
fn status(channel: &OwnedFd) -> Result<(String, Option<OwnedFd>), String> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = {
        let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(channel, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
            .map_err(told("confine"))?
    };
    let listener = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut handed) => handed.next(),
        RecvAncillaryMessage::ScmCredentials(_) | _ => None,
    });
    verdict(bytes.get(..got.bytes))?;
    let (length, _) = rustix::net::recv(channel, &mut bytes, RecvFlags::empty()).map_err(told("confine"))?;
    Ok((verdict(bytes.get(..length))?, listener))
}

fn verdict(packet: Option<&[u8]>) -> Result<String, String> {
    let text = packet.and_then(|packet| packet.strip_prefix(&OWN_ID));
    let text = String::from_utf8_lossy(text.ok_or("confine: it ended before it was confined")?).into_owned();
    match text.strip_prefix('!') {
        Some(problem) => Err(problem.to_owned()),
        None => Ok(text),
    }
}

/// Nobody can guess it: what a script writes blindly to its descriptors is never taken for a reply.
fn random_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut id)?;
    Ok(id)
}

fn told<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
