import CLinux
import CSpawning
import Glibc
import LinuxCalls

/// Starts this product's other programs.
enum ChildSpawning {
    /// What a program starts in, so that the terminal's signals do not reach it.
    enum Surroundings {
        case session
        case processGroup
        /// A process group, and a PID namespace in which it is the first; the group alone where this process may make no
        /// namespace.
        case processNamespace
    }

    /// Starts a program with exactly these descriptors, which get numbers from 0 up, and no signal blocked.
    static func start(
        _ arguments: [String], descriptors: [Int32], in surroundings: Surroundings
    ) throws(LinuxError) -> Int32 {
        // What this process itself inherited is not passed on either. CLOSE_RANGE_CLOEXEC. SAFETY: no address is passed.
        _ = unsafe try? systemCall(__NR_close_range, 3, Int(UInt32.max), 4)
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        var noSignals = sigset_t()
        var everySignal = sigset_t()
        var process: pid_t = 0
        // Away from the numbers that the child gets, so that none is overwritten before it is used.
        var copies: [Int32] = []
        defer { for copy in copies { _ = Glibc.close(copy) } }
        for descriptor in descriptors {
            copies.append(try fileControl(descriptor, CLinux.F_DUPFD_CLOEXEC, descriptors.count))
        }
        // SAFETY: the texts live until they are let go of, after both calls.
        var texts = unsafe arguments.map { unsafe strdup($0) }
        unsafe texts.append(nil)
        defer { unsafe texts.forEach { unsafe free($0) } }
        if surroundings == .processNamespace {
            // SAFETY: what is pointed to outlives the call.
            let error = unsafe spawning_in_process_namespace(
                &process, arguments[0], texts, Glibc.environ, copies, Int32(copies.count))
            if error == 0 { return process }
            guard error == EPERM || error == ENOSPC || error == EINVAL else { throw LinuxError(error) }
        }
        // SAFETY: each structure is initialised before and destroyed after its use; the texts live until after the call.
        unsafe posix_spawn_file_actions_init(&actions)
        for (number, copy) in copies.enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, copy, Int32(number))
        }
        unsafe posix_spawnattr_init(&attributes)
        unsafe sigemptyset(&noSignals)
        unsafe sigfillset(&everySignal)
        unsafe posix_spawnattr_setsigmask(&attributes, &noSignals)
        // What this process ignores is not ignored by what it starts.
        unsafe posix_spawnattr_setsigdefault(&attributes, &everySignal)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let setSession: Int32 = 0x80  // POSIX_SPAWN_SETSID
        let place = surroundings == .session ? setSession : Int32(POSIX_SPAWN_SETPGROUP)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(Int32(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) | place))
        let result = unsafe posix_spawn(&process, arguments[0], &actions, &attributes, texts, Glibc.environ)
        unsafe posix_spawnattr_destroy(&attributes)
        unsafe posix_spawn_file_actions_destroy(&actions)
        guard result == 0 else { throw LinuxError(result) }
        return process
    }
}
