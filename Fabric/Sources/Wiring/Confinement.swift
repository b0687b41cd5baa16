import CLinux
public import LinuxCalls

/// What a program that reads foreign bytes keeps of its rights once it has opened what it looks at: none, and few system calls.
public enum Confinement {
    private static let nobody: UInt32 = 65_534

    /// With one thread, for good. Source: capabilities(7), seccomp(2).
    /// - Parameter calls: the numbers of the system calls that it makes besides those that any program makes.
    public static func enter(_ calls: [Int32]) throws(LinuxError) {
        try PrivilegeDrop.leaveNoCoreFile()
        try PrivilegeDrop.refuseNewPrivileges()
        // CAP_SETGID, CAP_SETUID, CAP_SETPCAP: what takes the others away.
        try PrivilegeDrop.keepOnly(CapabilitySet(rawValue: 1 << 6 | 1 << 7 | 1 << 8))
        // In a user namespace there may be nobody.
        try? ProcessSetup.become(user: nobody, group: nobody)
        try PrivilegeDrop.keepOnly([])
        try SystemCallFilter.install(program(calls + common))
    }

    /// For its memory and its end.
    private static let common: [Int32] = [
        __NR_clock_gettime, __NR_brk, __NR_mmap, __NR_munmap, __NR_mremap, __NR_madvise, __NR_exit, __NR_exit_group,
        __NR_restart_syscall, __NR_rt_sigreturn,
    ]

    /// Every other call, and all of another interface, end the process. Source: linux/seccomp.h, linux/audit.h.
    private static func program(_ calls: [Int32]) -> [FilterInstruction] {
        let allow = FilterInstruction(code: 0x06, 0, 0, 0x7fff_0000)
        let end = FilterInstruction(code: 0x06, 0, 0, 0x8000_0000)
        var program = [
            FilterInstruction(code: 0x20, 0, 0, 4), FilterInstruction(code: 0x15, 1, 0, 0xc000_003e), end,
            FilterInstruction(code: 0x20, 0, 0, 0),
        ]
        for call in calls {
            program += [FilterInstruction(code: 0x15, 0, 1, UInt32(bitPattern: call)), allow]
        }
        return program + [end]
    }
}
