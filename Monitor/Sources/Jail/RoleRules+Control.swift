import CLinux

extension RoleRules {
    /// Of the thread that serves a machine's control socket. It opens files below descriptors only, and there is none but of
    /// the folder for snapshots.
    static let control: [Rule] =
        loop + [
            Rule(.accept4, [.word(3, 0x80800)], for: "who controls the machine"),
            Rule(.read, for: "being woken"),
            Rule(.write, for: "answers, a snapshot's state, waking other threads"),
            Rule(.close, for: "connections, a snapshot's files"),
            // Below a descriptor: AT_FDCWD is negative.
            Rule(.openat2, [.bits(0, mask: 0x8000_0000, 0)], for: "a snapshot's files, below their folder"),
            Rule(.timerSet, need: .rare, for: "clients that hold up others"),
            Rule(.gettid, for: "telling itself from others"),
            Rule(.recvmsg, [.word(2, 0x4000_0000)], for: "requests, and the files that come along: MSG_CMSG_CLOEXEC"),
        ] + saving + keeping + attaching + lock + memory + ending + [clock]

    /// What a device takes that comes while the machine runs, and the thread that a disk then has: it begins with this role's
    /// filter, so that it can be allowed nothing that is not here, and takes the narrower one of drives upon that.
    private static let attaching: [Rule] = [
        Rule(.eventFile, [.word(1, 0x80800)], with: .slots, for: "a device's interrupt and doorbells: EFD_CLOEXEC"),
        Rule(.timerCreate, [.word(1, 0x80800)], with: .slots, for: "a device's limits"),
        Rule(.epollCreate, [.word(0, 0x80000)], with: .slots, for: "a disk's loop"),
        ioctl(linux_KVM_IRQFD, with: .slots, for: "a device's interrupt"),
        ioctl(linux_KVM_IOEVENTFD, with: .slots, for: "a device's doorbells"),
        ioctl(linux_TUNGETIFF, with: .slots, for: "what a TAP device is"),
        ioctl(linux_TUNSETVNETHDRSZ, with: .slots, for: "a TAP device's header"),
        ioctl(linux_TUNSETOFFLOAD, with: .slots, for: "what a TAP device can do"),
        Rule(.fcntl, [.word(1, 3)], with: .slots, for: "how a file was opened: F_GETFL"),
        Rule(.fcntl, [.word(1, 4)], with: .slots, need: .rare, for: "a TAP device that was opened to wait: F_SETFL"),
        Rule(.statx, [.word(2, 0x1000)], with: .slots, for: "what an open file is: AT_EMPTY_PATH"),
        Rule(
            .clone, [.long(0, 0x7d_0f00)], with: .slots,
            for: "a disk's thread: what the C library gives a thread, and no namespace"),
        Rule(.capabilityGet, with: .slots, need: .rare, for: "a disk's thread, when it is confined"),
        Rule(.processControl, [.word(0, 38)], with: .slots, need: .rare, for: "the same: PR_SET_NO_NEW_PRIVS"),
        Rule(.seccomp, [.word(0, 1), .word(1, 0)], with: .slots, need: .rare, for: "the same: a filter more"),
        Rule(.preadv, with: .slots, for: "a disk: reading"),
        Rule(.pread, with: .slots, need: .rare, for: "a disk: reading"),
        Rule(.pwritev2, with: .slots, for: "a disk: writing"),
        Rule(.fdatasync, with: .slots, for: "a disk: flushing"),
        Rule(.fallocate, with: .slots, for: "a disk: discarding and zeroing"),
    ]
}
