import CLinux
import LinuxCalls

extension RoleRules {
    /// Of the thread that serves Firecracker's API. It is the only one that opens files by any name, because its clients
    /// name files after the start; it opens them in the few ways that it has use for, and can neither write to what is there
    /// by creating it, nor follow a link where it makes a file.
    static let api: [Rule] =
        loop + [
            Rule(.accept4, [.word(3, 0x80800)], for: "clients"),
            Rule(.read, for: "requests, being woken"),
            Rule(.write, for: "answers, the log, metrics, a snapshot's state, waking other threads"),
            Rule(.close, for: "clients, files"),
            Rule(.timerSet, need: .rare, for: "the balloon's reports, clients that hold up others"),
        ] + files + saving + keeping + lock + memory + ending + [
            clock,
            Rule(.gettid, for: "telling itself from others"),
        ]

    private static func opening(_ flags: OpenFlags, for reason: StaticString) -> Rule {
        // AT_FDCWD; O_CLOEXEC always.
        Rule(.openat, [.word(0, 0xffff_ff9c), .word(2, UInt32(bitPattern: flags.rawValue | O_CLOEXEC))], for: reason)
    }

    private static let files: [Rule] = [
        opening([.readOnly, .nonBlocking], for: "kernels, snapshots: whether they are there"),
        opening([.readWrite, .nonBlocking], for: "disks that can be written"),
        opening([.readWrite, .append, .nonBlocking], for: "log and metrics, which exist"),
        Rule(.statx, [.word(2, 0x1000)], for: "what an open file is: AT_EMPTY_PATH"),
        Rule(.pread, for: "a snapshot's state"),
        opening([.readWrite, .create, .exclusive, .noFollow], for: "a new snapshot's files"),
    ]

    /// What a snapshot takes.
    static let saving: [Rule] = [
        Rule(.ftruncate, for: "the length of a snapshot's memory"),
        Rule(.lseek, for: "which memory was ever used, how large a disk is"),
        Rule(.pwrite, for: "a snapshot's memory"),
        Rule(.renameat2, for: "the names of a snapshot's files"),
        Rule(.unlinkat, [.word(2, 0)], for: "what is left of a snapshot that was not finished"),
        ioctl(linux_KVM_GET_CLOCK, for: "the guest's clock"),
        ioctl(linux_KVM_GET_MSR_INDEX_LIST, for: "what a processor's state consists of"),
        ioctl(linux_KVM_GET_TSC_KHZ, for: "how fast a processor counts"),
        ioctl(linux_KVM_GET_REGS, for: "a processor's state"),
        ioctl(linux_KVM_GET_SREGS, for: "a processor's state"),
        ioctl(linux_KVM_GET_XSAVE, for: "a processor's state"),
        ioctl(linux_KVM_GET_XCRS, for: "a processor's state"),
        ioctl(linux_KVM_GET_DEBUGREGS, for: "a processor's state"),
        ioctl(linux_KVM_GET_LAPIC, for: "a processor's state"),
        ioctl(linux_KVM_GET_MSRS, for: "a processor's state"),
        ioctl(linux_KVM_GET_MP_STATE, for: "a processor's state"),
        ioctl(linux_KVM_GET_VCPU_EVENTS, for: "a processor's state"),
        Rule(.getrandom, for: "what binds a snapshot's files to each other"),
        Rule(.tgkill, [.word(2, 10)], for: "calling processors out of their guest: SIGUSR1"),
        Rule(.getpid, for: "calling processors out of their guest"),
    ]

    /// What a snapshot takes besides whose memory is kept as it was while the guest goes on.
    static let keeping: [Rule] = [
        Rule(
            .mmap, [.word(2, 3), .word(3, 0x4001)],
            for: "guest memory as it was: PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE"),
        Rule(
            .mmap, [.word(2, 3), .word(3, 0x4012)],
            for: "what the guest writes from now on: MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE"),
        Rule(
            .mmap, [.word(2, 0), .word(3, 0x4022), .word(4, .max)],
            for: "a place for page tables that are done with: PROT_NONE"),
        Rule(
            .mremap, [.word(3, 7)],
            for: "page tables moved there: MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP"),
        Rule(
            .madvise, [.word(2, 4)], need: .rare,
            for: "copies of pages that are done with, where there are any: MADV_DONTNEED"),
        Rule(.fcntl, [.word(1, 1030)], for: "the memory's file, kept while it is copied: F_DUPFD_CLOEXEC"),
        Rule(
            .clone, [.long(0, 17)],
            for: "a copy of the process that writes memory as it was: SIGCHLD and no flags, no new thread or namespace"),
        Rule(
            .madvise, [.word(2, 22)], with: [.api, .checkedMemory, .hugePages], need: .rare,
            for: "pages that another process, or another thread, is to put there first: MADV_POPULATE_READ"),
        Rule(.closeRange, for: "the copy's descriptors, which it has no use for"),
        Rule(.wait4, for: "the copy's end"),
    ]
}
