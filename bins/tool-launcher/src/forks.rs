//! Counts processes and threads at the moment when they are made: the kernel asks here before each `clone`.
//!
//! `RLIMIT_NPROC` does not bind root and counts all processes of a user, the worker's included; cgroups cannot be
//! written in a pod. seccomp's user notification is the one way that holds everywhere. No safe crate wraps it
//! (libseccomp's needs a C library), hence the only unsafe code of the workspace: one `seccomp` and two `ioctl` calls.
#![expect(unsafe_code, reason = "seccomp with a listener and its two ioctls have no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `SECCOMP_IOCTL_NOTIF_RECV`: `_IOWR('!', 0, struct seccomp_notif)`.
const RECEIVE: u64 = 0xc050_2100;
/// `SECCOMP_IOCTL_NOTIF_SEND`: `_IOWR('!', 1, struct seccomp_notif_resp)`.
const ANSWER: u64 = 0xc018_2101;
/// `AUDIT_ARCH_*` of this machine.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;
/// Numbers from here on are the x32 table, which has another name for every call.
const X32: u32 = 0x4000_0000;

const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_NOT_BELOW: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const KILL: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;
const ENOSYS: u32 = 38;

#[cfg(target_arch = "x86_64")]
const ASKED: [i64; 3] = [libc::SYS_clone, libc::SYS_fork, libc::SYS_vfork];
#[cfg(target_arch = "aarch64")]
const ASKED: [i64; 3] = [libc::SYS_clone; 3];

const fn step(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Installs the filter in this process. The answer is the listener, to be handed to the supervisor.
pub(crate) fn listen() -> io::Result<OwnedFd> {
    let number = |call: i64| u32::try_from(call).unwrap_or(u32::MAX);
    let [clone, fork, vfork] = ASKED.map(number);
    let mut program = [
        step(LOAD, 4, 0, 0),
        step(JUMP_EQUAL, ARCH, 1, 0),
        step(RETURN, KILL, 0, 0),
        step(LOAD, 0, 0, 0),
        step(JUMP_NOT_BELOW, X32, 5, 0),
        step(JUMP_EQUAL, number(libc::SYS_clone3), 4, 0), // its flags lie in memory; C libraries fall back to `clone`
        step(JUMP_EQUAL, clone, 4, 0),
        step(JUMP_EQUAL, fork, 3, 0),
        step(JUMP_EQUAL, vfork, 2, 0),
        step(RETURN, ALLOW, 0, 0),
        step(RETURN, ERRNO | ENOSYS, 0, 0),
        step(RETURN, NOTIFY, 0, 0),
    ];
    let length = u16::try_from(program.len()).unwrap_or_default();
    let filter = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: `filter` and the program that it points to live until the call returns; the kernel copies both.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const filter,
        )
    };
    let listener = i32::try_from(listener).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// The supervisor's end.
pub(crate) struct Forks(OwnedFd);

/// Somebody wants to make a process or a thread, and waits for the answer.
pub(crate) struct Wish {
    id: u64,
    /// The thread that asks.
    pub(crate) asker: u32,
    pub(crate) thread: bool,
}

impl Forks {
    pub(crate) const fn new(listener: OwnedFd) -> Self {
        Self(listener)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Takes one wish. Only called when the descriptor is readable: then it does not block.
    pub(crate) fn next(&self) -> Option<Wish> {
        // SAFETY: the struct is plain integers, for which zero is a value, and which the kernel wants zeroed.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: `asked` has the size that the number names and is ours alone.
        let taken = unsafe { libc::ioctl(self.0.as_raw_fd(), RECEIVE as _, &raw mut asked) };
        let [flags, ..] = asked.data.args;
        let clone = i64::from(asked.data.nr) == libc::SYS_clone;
        let thread = clone && flags & u64::try_from(libc::CLONE_THREAD).unwrap_or_default() != 0;
        (taken == 0).then_some(Wish { id: asked.id, asker: asked.pid, thread })
    }

    /// Lets the call go on, or fails it with `EAGAIN` as the kernel does at its own limit. Whoever asked may be
    /// dead by now; then there is nothing to answer.
    pub(crate) fn answer(&self, wish: &Wish, granted: bool) {
        let mut answer = libc::seccomp_notif_resp {
            id: wish.id,
            val: 0,
            error: if granted { 0 } else { -libc::EAGAIN },
            flags: if granted { 1 } else { 0 }, // SECCOMP_USER_NOTIF_FLAG_CONTINUE
        };
        // SAFETY: `answer` has the size that the number names and is ours alone.
        unsafe { libc::ioctl(self.0.as_raw_fd(), ANSWER as _, &raw mut answer) };
    }
}
