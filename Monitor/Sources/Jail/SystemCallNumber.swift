import CLinux

/// A system call by its number and its name, for rules and for reports.
///
/// Source: linux/arch/x86/entry/syscalls/syscall_64.tbl, through <asm/unistd.h>.
public struct SystemCallNumber: Equatable, Sendable {
    public let number: UInt32
    public let name: StaticString

    init(_ number: Int32, _ name: StaticString) {
        self.number = UInt32(bitPattern: number)
        self.name = name
    }

    public static func == (left: Self, right: Self) -> Bool { left.number == right.number }
}

extension SystemCallNumber {
    static let accept4 = Self(__NR_accept4, "accept4")
    static let brk = Self(__NR_brk, "brk")
    static let capabilityGet = Self(__NR_capget, "capget")
    static let clockGetTime = Self(__NR_clock_gettime, "clock_gettime")
    static let clone = Self(__NR_clone, "clone")
    static let close = Self(__NR_close, "close")
    static let closeRange = Self(__NR_close_range, "close_range")
    static let connect = Self(__NR_connect, "connect")
    static let copyFileRange = Self(__NR_copy_file_range, "copy_file_range")
    static let epollControl = Self(__NR_epoll_ctl, "epoll_ctl")
    static let epollCreate = Self(__NR_epoll_create1, "epoll_create1")
    static let epollWait = Self(__NR_epoll_pwait, "epoll_pwait")
    static let eventFile = Self(__NR_eventfd2, "eventfd2")
    static let exit = Self(__NR_exit, "exit")
    static let exitGroup = Self(__NR_exit_group, "exit_group")
    static let fallocate = Self(__NR_fallocate, "fallocate")
    static let fchmodat = Self(__NR_fchmodat, "fchmodat")
    static let fchownat = Self(__NR_fchownat, "fchownat")
    static let fcntl = Self(__NR_fcntl, "fcntl")
    static let fdatasync = Self(__NR_fdatasync, "fdatasync")
    static let fstatfs = Self(__NR_fstatfs, "fstatfs")
    static let fsync = Self(__NR_fsync, "fsync")
    static let ftruncate = Self(__NR_ftruncate, "ftruncate")
    static let futex = Self(__NR_futex, "futex")
    static let getdents = Self(__NR_getdents64, "getdents64")
    static let getpid = Self(__NR_getpid, "getpid")
    static let getrandom = Self(__NR_getrandom, "getrandom")
    static let getsockopt = Self(__NR_getsockopt, "getsockopt")
    static let gettid = Self(__NR_gettid, "gettid")
    static let getxattr = Self(__NR_getxattr, "getxattr")
    static let ioctl = Self(__NR_ioctl, "ioctl")
    static let ioRingEnter = Self(__NR_io_uring_enter, "io_uring_enter")
    static let linkat = Self(__NR_linkat, "linkat")
    static let listxattr = Self(__NR_listxattr, "listxattr")
    static let lseek = Self(__NR_lseek, "lseek")
    static let madvise = Self(__NR_madvise, "madvise")
    static let mkdirat = Self(__NR_mkdirat, "mkdirat")
    static let mknodat = Self(__NR_mknodat, "mknodat")
    static let mmap = Self(__NR_mmap, "mmap")
    static let mprotect = Self(__NR_mprotect, "mprotect")
    static let mremap = Self(__NR_mremap, "mremap")
    static let munmap = Self(__NR_munmap, "munmap")
    static let openat = Self(__NR_openat, "openat")
    static let openat2 = Self(__NR_openat2, "openat2")
    static let pread = Self(__NR_pread64, "pread64")
    static let preadv = Self(__NR_preadv, "preadv")
    static let processControl = Self(__NR_prctl, "prctl")
    static let pwrite = Self(__NR_pwrite64, "pwrite64")
    static let pwritev2 = Self(__NR_pwritev2, "pwritev2")
    static let read = Self(__NR_read, "read")
    static let readlinkat = Self(__NR_readlinkat, "readlinkat")
    static let readv = Self(__NR_readv, "readv")
    static let recvfrom = Self(__NR_recvfrom, "recvfrom")
    static let recvmsg = Self(__NR_recvmsg, "recvmsg")
    static let removexattr = Self(__NR_removexattr, "removexattr")
    static let renameat2 = Self(__NR_renameat2, "renameat2")
    static let seccomp = Self(__NR_seccomp, "seccomp")
    static let sendmsg = Self(__NR_sendmsg, "sendmsg")
    static let sendto = Self(__NR_sendto, "sendto")
    static let setxattr = Self(__NR_setxattr, "setxattr")
    static let shutdown = Self(__NR_shutdown, "shutdown")
    static let signalMask = Self(__NR_rt_sigprocmask, "rt_sigprocmask")
    static let signalReturn = Self(__NR_rt_sigreturn, "rt_sigreturn")
    static let socket = Self(__NR_socket, "socket")
    static let statx = Self(__NR_statx, "statx")
    static let symlinkat = Self(__NR_symlinkat, "symlinkat")
    static let tgkill = Self(__NR_tgkill, "tgkill")
    static let timerCreate = Self(__NR_timerfd_create, "timerfd_create")
    static let timerSet = Self(__NR_timerfd_settime, "timerfd_settime")
    static let unlinkat = Self(__NR_unlinkat, "unlinkat")
    static let utimensat = Self(__NR_utimensat, "utimensat")
    static let wait4 = Self(__NR_wait4, "wait4")
    static let write = Self(__NR_write, "write")
    static let writev = Self(__NR_writev, "writev")

    /// Calls that no role may make, but that an attacker would: named in reports only.
    static let neverAllowed: [Self] = [
        Self(__NR_bind, "bind"), Self(__NR_bpf, "bpf"), Self(__NR_chroot, "chroot"),
        Self(__NR_clone3, "clone3"), Self(__NR_execve, "execve"), Self(__NR_execveat, "execveat"),
        Self(__NR_fork, "fork"), Self(__NR_init_module, "init_module"), Self(__NR_finit_module, "finit_module"),
        Self(__NR_io_uring_register, "io_uring_register"), Self(__NR_io_uring_setup, "io_uring_setup"),
        Self(__NR_kill, "kill"), Self(__NR_listen, "listen"), Self(__NR_memfd_create, "memfd_create"),
        Self(__NR_mount, "mount"), Self(__NR_open, "open"), Self(__NR_perf_event_open, "perf_event_open"),
        Self(__NR_pidfd_open, "pidfd_open"), Self(__NR_process_vm_readv, "process_vm_readv"),
        Self(__NR_process_vm_writev, "process_vm_writev"), Self(__NR_ptrace, "ptrace"),
        Self(__NR_rt_sigaction, "rt_sigaction"), Self(__NR_setns, "setns"),
        Self(__NR_setuid, "setuid"), Self(__NR_tkill, "tkill"), Self(__NR_umount2, "umount2"),
        Self(__NR_unshare, "unshare"), Self(__NR_userfaultfd, "userfaultfd"), Self(__NR_vfork, "vfork"),
    ]

    /// Every call that some role may make. Written out: to collect them at each start took a tenth of a restore.
    static let allowed: [Self] = [
        .accept4, .brk, .capabilityGet, .clockGetTime, .clone, .close, .closeRange, .connect,
        .copyFileRange, .epollControl, .epollCreate, .epollWait, .eventFile, .exit, .exitGroup, .fallocate,
        .fchmodat, .fchownat, .fcntl, .fdatasync, .fstatfs, .fsync, .ftruncate, .futex, .getdents, .getpid,
        .getrandom, .getsockopt, .gettid, .getxattr, .ioRingEnter, .ioctl, .linkat, .listxattr, .lseek, .madvise,
        .mkdirat, .mknodat, .mmap, .mprotect, .mremap, .munmap, .openat, .openat2, .pread, .preadv, .processControl,
        .pwrite, .pwritev2, .read, .readlinkat, .readv, .recvfrom, .recvmsg, .removexattr, .renameat2,
        .seccomp, .sendmsg, .sendto, .setxattr, .shutdown, .signalMask,
        .signalReturn, .socket, .statx, .symlinkat, .tgkill, .timerCreate, .timerSet, .unlinkat, .utimensat, .wait4,
        .write, .writev,
    ]

    /// As reports name a call. Allocates nothing once both lists are made.
    static func name(of number: UInt32) -> StaticString? {
        for call in allowed where call.number == number { return call.name }
        for call in neverAllowed where call.number == number { return call.name }
        return nil
    }
}
