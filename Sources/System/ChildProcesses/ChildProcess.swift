import CSpawning
import Glibc
public import LinuxCalls

/// A program that this process started.
public struct ChildProcess: Sendable {
    public let identifier: Int32

    /// How a program is started.
    public struct Settings: Sendable {
        /// The program, looked up in `PATH` unless it holds a slash, and its arguments.
        public var arguments: [String]
        /// `NAME=value`; nil takes this process's.
        public var environment: [String]?
        /// Nil stays where this process is.
        public var workingDirectory: String?
        /// The child's descriptor numbers and what they are here. 0, 1 and 2 are `/dev/null` unless named; no other
        /// descriptor of this process reaches the child.
        public var descriptors: [Int32: Int32] = [:]
        /// Whether the child gets a session of its own: no terminal, and no signal that a terminal sends.
        public var startsSession = false

        public init(_ arguments: [String]) { self.arguments = arguments }
    }

    /// Starts a program.
    /// - Throws: ENOENT when there is no such program, and what else `posix_spawn(3)` may say.
    public init(_ settings: Settings) throws(LinuxError) {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }

        // A child is not to inherit that this process ignores or blocks a signal.
        var everySignal = sigset_t()
        var noSignal = sigset_t()
        unsafe sigfillset(&everySignal)
        unsafe sigemptyset(&noSignal)
        unsafe posix_spawnattr_setsigdefault(&attributes, &everySignal)
        unsafe posix_spawnattr_setsigmask(&attributes, &noSignal)
        // Source: glibc spawn.h, POSIX_SPAWN_SETSID.
        let flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | (settings.startsSession ? 0x80 : 0)
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

        if let folder = settings.workingDirectory {
            unsafe spawning_change_folder(&actions, folder)
        }
        for number: Int32 in 0...2 where settings.descriptors[number] == nil {
            unsafe posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
        }
        // Above every number that the child uses, so that none is overwritten before it is copied to its place.
        let highest = max(2, settings.descriptors.keys.max() ?? 2)
        var copies: [Int32] = []
        defer { for copy in copies { Glibc.close(copy) } }
        for (target, source) in settings.descriptors {
            let copy = try fileControl(source, F_DUPFD_CLOEXEC, Int(highest) + 1)
            copies.append(copy)
            unsafe posix_spawn_file_actions_adddup2(&actions, copy, target)
        }
        unsafe spawning_close_from(&actions, highest + 1)

        var started: pid_t = 0
        let result = unsafe withKernelStrings(settings.arguments) { arguments in
            guard let program = unsafe arguments[0] else { return EINVAL }
            guard let environment = settings.environment else {
                return unsafe posix_spawnp(&started, program, &actions, &attributes, arguments, environ)
            }
            return unsafe withKernelStrings(environment) { environment in
                unsafe posix_spawnp(&started, program, &actions, &attributes, arguments, environment)
            }
        }
        guard result == 0 else { throw LinuxError(result) }
        identifier = started
    }

    /// Waits until it ends. To be called once, and not after `endingIfEnded` returned one.
    public func wait() -> Ending {
        var status: Int32 = 0
        while unsafe waitpid(identifier, &status, 0) < 0 {
            if errno != EINTR { return .exited(127) }
        }
        return Ending(waitStatus: status)
    }

    /// How it ended, or nil while it runs.
    public func endingIfEnded() -> Ending? {
        var status: Int32 = 0
        return unsafe waitpid(identifier, &status, WNOHANG) == identifier ? Ending(waitStatus: status) : nil
    }

    /// Sends a signal. It must not have been waited for yet.
    public func send(signal number: Int32) { _ = kill(identifier, number) }

    /// How a program ended.
    public enum Ending: Equatable, Sendable {
        case exited(UInt8)
        case signalled(UInt8)

        /// Source: wait(2), the layout of the status.
        init(waitStatus status: Int32) {
            let signal = UInt8(truncatingIfNeeded: status & 0x7f)
            self = signal == 0 ? .exited(UInt8(truncatingIfNeeded: status >> 8)) : .signalled(signal)
        }

        /// As a shell reports it: the status, or 128 and the signal.
        public var shellStatus: UInt8 {
            switch self {
            case .exited(let status): status
            case .signalled(let signal): 128 | signal
            }
        }
    }
}

/// Calls `body` with the texts as `execve(2)` wants them.
private func withKernelStrings<R>(
    _ texts: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
    let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: texts.count + 1)
    // SAFETY: one more element than texts, each a copy that is freed below, after `body`.
    for (index, text) in texts.enumerated() { unsafe pointers[index] = strdup(text) }
    unsafe pointers[texts.count] = nil
    defer {
        for index in texts.indices { unsafe free(pointers[index]) }
        unsafe pointers.deallocate()
    }
    return unsafe body(pointers)
}
