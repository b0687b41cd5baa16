import CLinux
import LinuxCalls
import Synchronization
import Testing

@testable import Jail

/// The programs in the kernel: children that confine themselves and then make one call.
@Suite(.serialized) struct RefusalTests {
    /// What a child does; it shares this memory while its parent waits.
    private struct Plan {
        /// The address.
        var instructions: Int
        var count: UInt16
        var call: Int
        var arguments: (Int, Int, Int, Int, Int, Int)
    }

    /// How a child ended that confined itself to a role and made the call. It gives back 0 when it came behind the call.
    private func attempt(_ role: ThreadRole, _ call: Int32, _ a: [Int]) throws -> ChildEnd {
        let code = FilterProgram(RoleRules.rules(role, with: .all), refused: .trap(role.rawValue)).instructions
        let stack = UnsafeMutableRawPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { unsafe stack.deallocate() }
        // The child borrows this memory: no handler may run in it.
        let before = try blockSignals(SignalSet(bits: .max))
        defer { _ = try? setBlockedSignals(before) }
        let a = a + [Int](repeating: 0, count: 6 - a.count)
        // SAFETY: everything outlives the child, for which this thread waits.
        let child = unsafe code.withUnsafeBufferPointer { code in
            var plan = Plan(
                instructions: Int(bitPattern: code.baseAddress), count: UInt16(code.count), call: Int(call),
                arguments: (a[0], a[1], a[2], a[3], a[4], a[5]))
            return unsafe withUnsafeMutablePointer(to: &plan) { plan in
                unsafe linux_run_child(
                    { context in
                        guard let plan = unsafe context?.assumingMemoryBound(to: Plan.self).pointee else { return 100 }
                        var program = (UInt64(plan.count), plan.instructions)
                        // PR_SET_NO_NEW_PRIVS; SECCOMP_SET_MODE_FILTER.
                        _ = linux_system_call(Int(__NR_prctl), 38, 1, 0, 0, 0, 0)
                        let isInstalled = unsafe withUnsafeMutablePointer(to: &program) { program in
                            linux_system_call(Int(__NR_seccomp), 1, 0, Int(bitPattern: program), 0, 0, 0)
                        }
                        if isInstalled != 0 { return 101 }
                        _ = linux_system_call(
                            plan.call, plan.arguments.0, plan.arguments.1, plan.arguments.2, plan.arguments.3,
                            plan.arguments.4, plan.arguments.5)
                        return 0
                    }, plan, stack + (64 << 10))
            }
        }
        try #require(child > 0)
        return try Children.wait(for: Int32(child))
    }

    private static let ended = ChildEnd.signalled(31)

    @Test(arguments: ThreadRole.allCases)
    func `what a compromised monitor would try ends it, whichever of its threads tries`(role: ThreadRole) throws {
        let attempts: [(StaticString, Int32, [Int])] = [
            ("execve", __NR_execve, [0, 0, 0]), ("execveat", __NR_execveat, [-100, 0, 0, 0, 0]),
            ("open", __NR_open, [0, 0]), ("kill", __NR_kill, [1, 0]), ("tkill", __NR_tkill, [1, 0]),
            ("tgkill with SIGKILL", __NR_tgkill, [1, 1, 9]), ("INET socket", __NR_socket, [2, 1, 0]),
            ("packet socket", __NR_socket, [17, 3, 0]), ("netlink socket", __NR_socket, [16, 3, 0]),
            ("ptrace", __NR_ptrace, [16, 1, 0, 0]), ("process_vm_writev", __NR_process_vm_writev, [1, 0, 0, 0, 0, 0]),
            ("mount", __NR_mount, [0, 0, 0, 0, 0]), ("umount2", __NR_umount2, [0, 0]), ("setns", __NR_setns, [0, 0]),
            ("unshare", __NR_unshare, [0x1000_0000]),
            ("clone with a namespace", __NR_clone, [0x1000_0011, 0, 0, 0, 0]),
            ("clone3", __NR_clone3, [0, 0]), ("fork", __NR_fork, []),
            ("executable mmap", __NR_mmap, [0, 4096, 7, 0x22, -1, 0]),
            ("executable file", __NR_mmap, [0, 4096, 5, 2, 0, 0]),
            ("shared mmap", __NR_mmap, [0, 4096, 3, 1, 0, 0]),
            ("executable mprotect", __NR_mprotect, [0x1000, 4096, 5]), ("TIOCSTI", __NR_ioctl, [0, 0x5412, 0]),
            ("KVM_CREATE_VM", __NR_ioctl, [0, 0xae01, 0]), ("TUNSETIFF", __NR_ioctl, [0, 0x4004_54ca, 0]),
            ("io_uring_setup", __NR_io_uring_setup, [8, 0]),
            ("io_uring_register", __NR_io_uring_register, [0, 0, 0, 0]),
            ("bpf", __NR_bpf, [0, 0, 0]), ("userfaultfd", __NR_userfaultfd, [0]),
            ("perf_event_open", __NR_perf_event_open, [0, 0, 0, 0, 0]), ("prctl", __NR_prctl, [4, 1, 0, 0, 0]),
            ("rt_sigaction", __NR_rt_sigaction, [31, 0, 0, 8]), ("seccomp", __NR_seccomp, [0, 0, 0]),
            ("setuid", __NR_setuid, [0]), ("chroot", __NR_chroot, [0]), ("finit_module", __NR_finit_module, [0, 0, 0]),
            ("memfd_create", __NR_memfd_create, [0, 0]), ("bind", __NR_bind, [0, 0, 0]), ("x32 read", 0x4000_0000, []),
        ]
        for (name, call, arguments) in attempts {
            #expect(try attempt(role, call, arguments) == Self.ended, "\(name)")
        }
        // These write live snapshots by a copy of the process, which has the same filter.
        if role != .api, role != .control { #expect(try attempt(role, __NR_clone, [17, 0, 0, 0, 0]) == Self.ended) }
        if role != .folder {
            #expect(try attempt(role, __NR_openat, [-100, 0, 0]) == Self.ended)
            #expect(try attempt(role, __NR_openat2, [-100, 0, 0, 24]) == Self.ended)
            #expect(try attempt(role, __NR_statx, [-100, 0, 0, 0, 0]) == Self.ended)
        }
    }

    @Test(arguments: ThreadRole.allCases)
    func `what a role is for is let through`(role: ThreadRole) throws {
        #expect(try attempt(role, __NR_mmap, [0, 4096, 3, 0x22, -1, 0]) == .exited(0))
        #expect(try attempt(role, __NR_futex, [0, 0x81, 0]) == .exited(0))
        #expect(try attempt(role, __NR_write, [2, 0, 0]) == .exited(0))
    }
}
