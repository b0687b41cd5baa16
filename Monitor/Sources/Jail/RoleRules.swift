import CLinux

/// The system calls that each role may make, with what their arguments must be.
///
/// Recorded on runs of all devices and compared with them by the tests: a rule that no run needs fails them, as does a call
/// without one. See Documentation/design/0060-jail.md for how to record.
public enum RoleRules {
    /// The rules of a role in a machine with these parts.
    public static func rules(_ role: ThreadRole, with parts: JailedParts) -> [Rule] {
        let all =
            switch role {
            case .devices: devices
            case .processor: processor
            case .drive: drive
            case .folder: folder
            case .control: control
            case .api: api
            case .memory: prefetch
            }
        return all.filter { rule in
            #if hasFeature(Embedded)
                if case .development = rule.occasion { return false }
            #endif
            guard let needed = rule.parts else { return true }
            return !needed.isDisjoint(with: parts)
        }
    }

    static func ioctl(
        _ request: UInt, with parts: JailedParts? = nil, need: Rule.Occasion = .ordinary, for reason: StaticString
    ) -> Rule {
        Rule(.ioctl, [.word(1, UInt32(truncatingIfNeeded: request))], with: parts, need: need, for: reason)
    }

    // MARK: What several roles need

    /// Private memory that can be read and written, not executed. Source: mmap(2).
    static let memory: [Rule] = [
        Rule(
            .mmap, [.word(2, 3), .word(3, 0x22), .word(4, .max)], need: .rare,
            for: "the heap, and rooms that are made when they are used"),
        Rule(
            .mmap, [.word(2, 0), .word(3, 0x22), .word(4, .max)], need: .rare,
            for: "the heap's own tables, before they grow"),
        Rule(.mprotect, [.word(2, 3)], need: .rare, for: "the heap's own tables, when they grow"),
        Rule(.munmap, need: .rare, for: "the heap, and rooms that are given back"),
        Rule(.mremap, [.word(3, 1)], need: .rare, for: "the heap, for what grows large"),
        Rule(.brk, need: .rare, for: "the heap's own tables"),
        Rule(.madvise, [.word(2, 8)], need: .rare, for: "the heap: MADV_FREE"),
    ]

    /// For drives and processors; the others have it in any case.
    private static let otherLibrary = Rule(
        .madvise, [.word(2, 4)], need: .development, for: "the other C library's heap")

    /// For threads that seldom find a lock taken.
    private static let freeLock: [Rule] = [
        Rule(.futex, [.word(1, 0x80)], need: .rare, for: "locks: FUTEX_WAIT_PRIVATE"),
        Rule(.futex, [.word(1, 0x81)], for: "locks: FUTEX_WAKE_PRIVATE"),
    ]

    /// For a thread that hardly needs one.
    private static let rareLock: [Rule] = [
        Rule(.futex, [.word(1, 0x80)], need: .rare, for: "locks: FUTEX_WAIT_PRIVATE"),
        Rule(.futex, [.word(1, 0x81)], need: .rare, for: "locks: FUTEX_WAKE_PRIVATE"),
    ]

    /// On most hosts the kernel gives the time without a call; in the emulated host it does not.
    static let clock = Rule(.clockGetTime, need: .rare, for: "the time, where it takes a call")

    static let lock: [Rule] = [
        Rule(.futex, [.word(1, 0x80)], for: "locks: FUTEX_WAIT_PRIVATE"),
        Rule(.futex, [.word(1, 0x81)], for: "locks: FUTEX_WAKE_PRIVATE"),
    ]

    /// Of a thread that ends before its process does.
    static let ending: [Rule] = [
        Rule(.signalMask, need: .rare, for: "the C library, while a thread ends"),
        Rule(.futex, [.word(1, 0)], need: .rare, for: "the C library, while several threads end: FUTEX_WAIT"),
        Rule(.futex, [.word(1, 1)], need: .rare, for: "the C library, while several threads end: FUTEX_WAKE"),
        Rule(.exit, need: .rare, for: "the thread's end"),
        Rule(.exitGroup, need: .rare, for: "the end, when a signal asks for it first"),
    ]

    static let loop: [Rule] = [
        Rule(.epollWait, for: "the loop"),
        Rule(.epollControl, for: "what the loop watches"),
    ]

    // MARK: Devices

    private static let devices: [Rule] =
        loop + [
            Rule(.read, for: "timers, signals, event files, the console's input"),
            Rule(.write, for: "event files, the console's output, messages"),
            Rule(.readv, with: [.network, .vsock], for: "frames and streams into the guest's memory"),
            Rule(.writev, with: .network, for: "frames out of the guest's memory"),
            Rule(.sendmsg, with: .vsock, for: "streams out of the guest's memory"),
            Rule(.sendto, with: .vsock, for: "streams that waited"),
            Rule(.recvfrom, with: .vsock, for: "the line that names a port"),
        ] + lock + memory + [
            Rule(.timerSet, for: "watches, pauses"),
            Rule(.close, for: "connections, files at the end"),
            Rule(.tgkill, [.word(2, 10)], for: "calling processors out of their guest: SIGUSR1"),
            Rule(.getpid, for: "calling processors out of their guest"),
            Rule(.gettid, for: "telling the loop's thread from others"),
            clock,
            Rule(.getrandom, with: .entropy, for: "the guest's entropy"),
            Rule(.madvise, [.word(2, 23)], for: "pages copied ahead: MADV_POPULATE_WRITE"),
            Rule(.madvise, [.word(2, 9)], with: .balloon, for: "pages that the guest gives back: MADV_REMOVE"),
            Rule(
                .madvise, [.word(2, 4)], need: .rare,
                for: "pages and rooms given back, and the program's code while the guest sleeps: MADV_DONTNEED"),
            ioctl(
                linux_KVM_SET_USER_MEMORY_REGION, with: .pluggableMemory,
                for: "memory that is plugged while the guest runs"),
            ioctl(linux_TUNSETOFFLOAD, with: .network, for: "what the guest's network driver leaves to us"),
            ioctl(
                0x8010_aa01, with: [.api, .checkedMemory, .hugePages], need: .rare,
                for: "letting go of who waits for a page, when the kernel does not serve them: UFFDIO_UNREGISTER"),
            ioctl(
                0xc020_aa04, with: .checkedMemory, need: .rare,
                for: "pages that the guest gives back, for they are not the snapshot's again: UFFDIO_ZEROPAGE"),
            ioctl(linux_TCSETS, with: .terminal, for: "the terminal as it was before"),
            Rule(.accept4, [.word(3, 0x80800)], with: .vsock, for: "programs that want a port of the guest"),
            Rule(
                .socket, [.word(0, 1), .word(1, 0x80801), .word(2, 0)], with: .vsock,
                for: "the guest's connections to programs: Unix streams only"),
            Rule(.connect, with: .vsock, for: "the guest's connections to programs"),
            Rule(.shutdown, with: .vsock, for: "the end of one direction"),
            Rule(.getsockopt, with: .vsock, need: .rare, for: "why a connection broke"),
            Rule(.unlinkat, [.word(2, 0)], with: [.vsock, .api, .control], for: "the sockets' names at the end"),
            Rule(.signalReturn, need: .rare, for: "a signal that interrupts"),
            Rule(.exitGroup, for: "the machine's end"),
        ]

    // MARK: Processors

    private static let processor: [Rule] =
        [
            ioctl(linux_KVM_RUN, for: "running the guest"),
            ioctl(linux_KVM_SET_GSI_ROUTING, for: "interrupts, when the guest sets up its interrupt controller"),
            ioctl(linux_KVM_GET_REGS, for: "where a guest broke or halted"),
            ioctl(linux_KVM_GET_SREGS, for: "where a guest broke"),
            ioctl(linux_KVM_TRANSLATE, for: "where a guest broke"),
            ioctl(linux_KVM_GET_MP_STATE, for: "whether a guest halted for good"),
            ioctl(linux_KVM_KVMCLOCK_CTRL, with: [.api, .control], for: "telling the guest that it stood still"),
            Rule(.write, for: "the serial port's output, waking other threads"),
        ] + lock + memory + ending + [
            Rule(.signalReturn, for: "being called out of the guest"),
            clock,
            Rule(.close, need: .rare, for: "what only this thread still held, at its end"),
            Rule(.gettid, for: "telling itself from others"), otherLibrary,
        ]

    // MARK: Drives

    private static let drive: [Rule] =
        loop + [
            Rule(
                .ioRingEnter, [.word(3, 0), .long(4, 0)],
                for: "requests in the ring, which takes reading and writing only"),
            Rule(
                .ioRingEnter, [.word(3, 1), .long(4, 0)], need: .rare, for: "waiting for those that are on their way"),
            Rule(.preadv, for: "reading"),
            Rule(.pread, need: .rare, for: "reading"),
            Rule(.pwritev2, for: "writing"),
            Rule(.fdatasync, for: "flushing"),
            Rule(.fallocate, for: "discarding and zeroing"),
            Rule(.write, for: "waking other threads, messages"),
            Rule(.read, for: "being woken, what a backend answers"),
            Rule(.sendmsg, with: .driveBackends, for: "what a drive's backend is asked"),
            Rule(.shutdown, with: .driveBackends, need: .rare, for: "a drive's backend that is given up"),
            Rule(.timerSet, with: .limits, need: .rare, for: "waiting until a limit lets it go on"),
        ] + freeLock + memory + ending + [
            Rule(.close, need: .rare, for: "the end"), Rule(.gettid, for: "telling itself from others"), clock,
            otherLibrary,
        ]

    // MARK: Pages ahead

    private static let prefetch: [Rule] =
        [
            Rule(.madvise, [.word(2, 22)], for: "pages that will be read: MADV_POPULATE_READ"),
            Rule(.madvise, [.word(2, 23)], for: "pages that will be written: MADV_POPULATE_WRITE"),
            Rule(.write, need: .rare, for: "messages"),
            Rule(.epollWait, with: [.checkedMemory, .hugePages], for: "the loop"),
            Rule(
                .epollControl, with: [.checkedMemory, .hugePages], need: .rare,
                for: "what the loop watches: pages ahead"),
            Rule(.timerSet, with: .checkedMemory, need: .rare, for: "the beginning of pages ahead"),
            Rule(.read, with: [.checkedMemory, .hugePages], for: "who waits for a page, being woken"),
            Rule(.pread, with: .checkedMemory, for: "a snapshot's memory, and the tree that vouches for it"),
            ioctl(0xc028_aa03, with: [.checkedMemory, .hugePages], for: "a page that is right: UFFDIO_COPY"),
            ioctl(0xc020_aa04, with: .checkedMemory, for: "a page of zeros: UFFDIO_ZEROPAGE"),
            ioctl(
                0x8010_aa01, with: [.checkedMemory, .hugePages], need: .rare,
                for: "letting go of who waits for a page: UFFDIO_UNREGISTER"),
            ioctl(0xc020_aa00, with: .hugePages, for: "pages that are kept as they were: UFFDIO_REGISTER"),
            ioctl(0xc018_aa06, with: .hugePages, for: "pages that may be written, or not yet: UFFDIO_WRITEPROTECT"),
            Rule(.pwrite, with: .hugePages, for: "a snapshot's memory, as it was"),
            Rule(.close, with: .hugePages, for: "a snapshot's memory file"),
            Rule(
                .madvise, [.word(2, 4)], need: .rare,
                for: "a file's pages that were copied, and the other C library's heap: MADV_DONTNEED"),
        ] + rareLock + memory + ending + [
            Rule(.gettid, need: .rare, for: "telling itself from others"), clock,
        ]

    // MARK: Folders

    private static let folder: [Rule] =
        loop + [
            Rule(.read, for: "being woken"),
            Rule(.write, for: "waking other threads, messages"),
            Rule(.openat2, for: "files, below the folder"),
            Rule(.openat, for: "a file again that is open"),
            Rule(.statx, for: "what a file is"),
            Rule(.preadv, for: "reading"),
            Rule(.pwritev2, for: "writing"),
            Rule(.close, for: "files"),
            Rule(.getdents, for: "listing"),
            Rule(.readlinkat, for: "links"),
            Rule(.lseek, for: "listing, holes"),
            Rule(.fstatfs, for: "the file system's room"),
            Rule(.mkdirat, for: "making"),
            Rule(.mknodat, for: "making pipes and sockets"),
            Rule(.symlinkat, for: "making links"),
            Rule(.linkat, for: "making names"),
            Rule(.unlinkat, for: "removing"),
            Rule(.renameat2, for: "renaming"),
            Rule(.fchmodat, for: "modes"),
            Rule(.fchownat, for: "owners"),
            Rule(.utimensat, for: "times"),
            Rule(.ftruncate, for: "sizes"),
            Rule(.fallocate, for: "room"),
            Rule(.fsync, for: "flushing"),
            Rule(.fdatasync, for: "flushing"),
            Rule(.copyFileRange, for: "copies"),
            Rule(.getxattr, for: "attributes"),
            Rule(.listxattr, for: "attributes"),
            Rule(.setxattr, for: "attributes"),
            Rule(.removexattr, for: "attributes"),
            Rule(.fcntl, [.word(1, 1030)], for: "what closing says: F_DUPFD_CLOEXEC"),
            Rule(.madvise, [.word(2, 4)], for: "rooms given back: MADV_DONTNEED"),
            clock,
        ] + freeLock + memory + ending + [Rule(.gettid, for: "telling itself from others")]
}
