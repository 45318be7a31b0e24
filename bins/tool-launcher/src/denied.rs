//! Calls that a script never needs and that reach past its folder.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Always refused: other processes, the machine, name spaces, what outlives the process, what Landlock does not see
/// (modes, owners and times of foreign files; `truncate` before its third version).
const DENIED: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_seccomp,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_personality,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_semop,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_io_setup,
    libc::SYS_inotify_init1,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_truncate,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];
/// Numbers of calls that not every C library has a name for; the same on every architecture.
const NEWER: &[i64] = &[
    452, // fchmodat2
    463, // setxattrat
    466, // removexattrat
    467, // open_tree_attr
    469, // file_setattr
];
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[i64] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_kexec_file_load,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_inotify_init,
];
#[cfg(target_arch = "aarch64")]
const DENIED_HERE: &[i64] = &[libc::SYS_kexec_file_load];
/// Without the network nobody needs the last two, which can hide open files in a socket, where nobody counts them.
const NETWORK: &[i64] = &[
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
];
/// Where Landlock cannot keep signals inside, nobody is signalled but the interpreter by itself.
const SIGNALS: &[i64] = &[
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
];
/// `CLONE_NEWCGROUP`, `…UTS`, `…IPC`, `…USER`, `…PID`, `…NET`, `…NS`.
const NAMESPACES: &[u64] =
    &[0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x0002_0000];
/// `PR_SET_PDEATHSIG`: the interpreter must die with its supervisor. `PR_SET_DUMPABLE`: it must stay visible to it.
const PRCTL: &[u64] = &[1, 4];
/// `F_SETOWN`, `F_SETSIG`, `F_SETOWN_EX`: signals to others by way of a descriptor. `F_SETPIPE_SZ`: the kernel's memory.
const FCNTL: &[u64] = &[8, 10, 15, 1031];
/// `FIOSETOWN`, `SIOCSPGRP`: the same; `TIOCSTI`, `TIOCLINUX`: typing into a terminal.
const IOCTL: &[u64] = &[0x8901, 0x8902, 0x5412, 0x541c];
/// `MAP_SHARED | MAP_ANONYMOUS`: memory that outlives its unmapping in one process and is counted for none.
const SHARED_MEMORY: u64 = 0x21;
/// `AF_INET`, `AF_INET6`.
const INTERNET: [u64; 2] = [2, 10];

/// The filter: everything is allowed but the lists above, which give `EPERM`.
pub(crate) fn filter(network_allowed: bool, signals_inside: bool) -> Result<BpfProgram, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let always = DENIED.iter().chain(DENIED_HERE).chain(NEWER);
    let network = if network_allowed { &[] } else { NETWORK }.iter();
    let signals = if signals_inside { &[] } else { SIGNALS }.iter();
    rules.extend(always.chain(network).chain(signals).map(|call| (*call, Vec::new())));
    let spaces: Result<Vec<SeccompRule>, _> = NAMESPACES
        .iter()
        .map(|flag| rule(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(*flag), *flag))
        .collect();
    rules.insert(libc::SYS_clone, spaces?);
    for (call, arg, words) in
        [(libc::SYS_prctl, 0, PRCTL), (libc::SYS_fcntl, 1, FCNTL), (libc::SYS_ioctl, 1, IOCTL)]
    {
        let each = words.iter().map(|word| rule(arg, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *word));
        rules.insert(call, each.collect::<Result<_, _>>()?);
    }
    let shared = SeccompCmpOp::MaskedEq(SHARED_MEMORY);
    rules.insert(libc::SYS_mmap, vec![rule(3, SeccompCmpArgLen::Qword, shared, SHARED_MEMORY)?]);
    rules.insert(libc::SYS_socket, if network_allowed { vec![foreign_sockets()?] } else { Vec::new() });
    // Limits of other processes; one's own are asked for as process 0.
    rules.insert(libc::SYS_prlimit64, vec![rule(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?]);
    if !signals_inside {
        let own = u64::from(std::process::id());
        let other = rule(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, own)?;
        rules.insert(libc::SYS_tgkill, vec![other]);
    }
    let arch = std::env::consts::ARCH.try_into().map_err(|error| format!("seccomp: {error}"))?;
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, denied, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| format!("seccomp: {error}"))
}

/// Sockets that are neither IPv4 nor IPv6: those of the machine's own services, of the kernel, raw packets.
fn foreign_sockets() -> Result<SeccompRule, String> {
    let conditions = INTERNET.map(|family| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
            .map_err(|error| format!("seccomp: {error}"))
    });
    let conditions = conditions.into_iter().collect::<Result<_, _>>()?;
    SeccompRule::new(conditions).map_err(|error| format!("seccomp: {error}"))
}

fn rule(arg: u8, length: SeccompCmpArgLen, op: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    SeccompCondition::new(arg, length, op, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| format!("seccomp: {error}"))
}
