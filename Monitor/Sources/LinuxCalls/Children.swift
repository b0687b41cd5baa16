import CLinux

/// A program to be run in a child process, and what the child is to be first.
public struct ChildCommand: Sendable {
    /// The paths that are tried in this order; one that is not there, or may not be run, leads to the next.
    public var candidates: [[UInt8]]
    public var arguments: [[UInt8]]
    /// `NAME=value`
    public var environment: [[UInt8]]
    /// What become descriptors 0, 1 and 2.
    public var standardDescriptors: (Int32, Int32, Int32)
    /// Whether descriptor 0 becomes the controlling terminal of the child's new session.
    public var controlsTerminal = false
    /// An open directory that becomes the child's root.
    public var root: Int32?
    public var workingDirectory: [UInt8] = [0x2f]
    /// Nil leaves user and groups as they are.
    public var identity: Identity?

    public struct Identity: Equatable, Sendable {
        public var userID: UInt32
        public var groupID: UInt32
        public var supplementaryGroupIDs: [UInt32]

        public init(userID: UInt32, groupID: UInt32, supplementaryGroupIDs: [UInt32]) {
            self.userID = userID
            self.groupID = groupID
            self.supplementaryGroupIDs = supplementaryGroupIDs
        }
    }

    public init(
        candidates: [[UInt8]], arguments: [[UInt8]], environment: [[UInt8]],
        standardDescriptors: (Int32, Int32, Int32)
    ) {
        self.candidates = candidates
        self.arguments = arguments
        self.environment = environment
        self.standardDescriptors = standardDescriptors
    }
}

/// Why a child did not come to run its program.
public struct ChildFailure: Error, Equatable, Sendable {
    public enum Step: Int32, Sendable {
        case clone, session, terminal, root, workingDirectory, descriptors, identity, execution
    }

    public var step: Step
    public var error: LinuxError
}

/// How a child ended.
public enum ChildEnd: Equatable, Sendable {
    case exited(UInt8)
    case signalled(UInt8)
}

/// Children of this process.
public enum Children {
    /// Starts a command in a session of its own, with every signal as a fresh program expects it.
    ///
    /// The calling thread waits until the child executes its program, so that a failure of that is known here. The
    /// caller must have all signals blocked: the child borrows its memory, and no handler may run there.
    public static func start(_ command: ChildCommand) throws(ChildFailure) -> Int32 {
        let texts = KernelStrings(
            [command.workingDirectory] + command.candidates, command.arguments, command.environment)
        let groups = command.identity?.supplementaryGroupIDs ?? []
        let stackBytes = 64 << 10
        // SAFETY: the allocations live until the end of this call, by when the child has left this memory; the plan is
        // written by the child only while this thread waits for it.
        return try withExtendedLifetime(texts) { () throws(ChildFailure) -> Int32 in
            let stack = UnsafeMutableRawPointer.allocate(byteCount: stackBytes, alignment: 16)
            defer { unsafe stack.deallocate() }
            return unsafe try groups.withUnsafeBufferPointer { groups throws(ChildFailure) -> Int32 in
                var plan = unsafe ChildPlan(command, texts, groups)
                let child = unsafe withUnsafeMutablePointer(to: &plan) { plan in
                    unsafe linux_run_child(runChild, plan, stack + stackBytes)
                }
                if child < 0 {
                    throw ChildFailure(step: .clone, error: LinuxError(Int32(truncatingIfNeeded: -child)))
                }
                if unsafe plan.error != 0 {
                    // The child has left already; nobody else is to hear of it.
                    _ = linux_system_call(Int(__NR_wait4), child, 0, 0, 0, 0, 0)
                    throw ChildFailure(
                        step: unsafe ChildFailure.Step(rawValue: plan.step) ?? .clone,
                        error: unsafe LinuxError(plan.error))
                }
                return Int32(truncatingIfNeeded: child)
            }
        }
    }

    /// The next child that has ended, or nil when none has.
    /// - Throws: ECHILD when there are no children at all.
    public static func reap() throws(LinuxError) -> (process: Int32, end: ChildEnd)? {
        var status: Int32 = 0
        // SAFETY: the kernel fills four bytes during the call. WNOHANG is 1; -1 is any child.
        let process = unsafe try withUnsafeMutablePointer(to: &status) { status throws(LinuxError) in
            unsafe try systemCallRestarting(__NR_wait4, -1, Int(bitPattern: status), 1)
        }
        if process == 0 { return nil }
        return (Int32(truncatingIfNeeded: process), end(status))
    }

    /// Waits until that child has ended.
    public static func wait(for process: Int32) throws(LinuxError) -> ChildEnd {
        var status: Int32 = 0
        // SAFETY: the kernel fills four bytes during the call.
        _ = unsafe try withUnsafeMutablePointer(to: &status) { status throws(LinuxError) in
            unsafe try systemCallRestarting(__NR_wait4, Int(process), Int(bitPattern: status), 0)
        }
        return end(status)
    }

    /// Source: wait(2), the bits of a status.
    private static func end(_ status: Int32) -> ChildEnd {
        let signal = UInt8(status & 0x7f)
        return signal == 0 ? .exited(UInt8(truncatingIfNeeded: status >> 8)) : .signalled(signal)
    }

    /// Sends a signal: to a process, to a process group (`-group`), or to all that may be reached (-1).
    public static func signal(_ process: Int32, _ signalNumber: Int32) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_kill, Int(process), Int(signalNumber))
    }

    /// This process's own number.
    public static var own: Int32 {
        Int32(truncatingIfNeeded: linux_system_call(Int(__NR_getpid), 0, 0, 0, 0, 0, 0))
    }
}

/// What the child needs, with nothing left that would have to be allocated there.
@unsafe private struct ChildPlan {
    let workingDirectory: Int
    let candidates: UnsafePointer<Int>
    let arguments: UnsafePointer<Int>
    let environment: UnsafePointer<Int>
    let descriptors: (Int32, Int32, Int32)
    let controlsTerminal: Bool
    let root: Int32
    let hasIdentity: Bool
    let userID: UInt32
    let groupID: UInt32
    let groups: UnsafeBufferPointer<UInt32>
    var step: Int32 = 0
    var error: Int32 = 0

    init(_ command: ChildCommand, _ texts: KernelStrings, _ groups: UnsafeBufferPointer<UInt32>) {
        unsafe workingDirectory = texts.table(0)[0]
        unsafe candidates = texts.table(0) + 1
        unsafe arguments = texts.table(1)
        unsafe environment = texts.table(2)
        unsafe descriptors = command.standardDescriptors
        unsafe controlsTerminal = command.controlsTerminal
        unsafe root = command.root ?? -1
        unsafe hasIdentity = command.identity != nil
        unsafe userID = command.identity?.userID ?? 0
        unsafe groupID = command.identity?.groupID ?? 0
        unsafe self.groups = groups
    }
}

/// What the child does. It must not allocate, and it leaves only by executing a program or by returning.
private func runChild(_ context: UnsafeMutableRawPointer?) -> Int {
    // SAFETY: `start` passes a plan that outlives the child's stay in this memory.
    guard let plan = unsafe context?.assumingMemoryBound(to: ChildPlan.self) else { return 127 }
    func failed(_ result: Int, _ step: ChildFailure.Step) -> Bool {
        guard result < 0 else { return false }
        unsafe plan.pointee.step = step.rawValue
        unsafe plan.pointee.error = Int32(truncatingIfNeeded: -result)
        return true
    }
    func call(_ number: Int32, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0) -> Int {
        linux_system_call(Int(number), a, b, c, d, 0, 0)
    }
    if failed(call(__NR_setsid), .session) { return 127 }
    let descriptors = unsafe plan.pointee.descriptors
    if unsafe plan.pointee.controlsTerminal {
        if failed(call(__NR_ioctl, Int(descriptors.0), Int(linux_TIOCSCTTY)), .terminal) { return 127 }
    }
    // None of the three is below 3, so that no copy overwrites one that is still needed.
    if failed(call(__NR_dup3, Int(descriptors.0), 0), .descriptors) { return 127 }
    if failed(call(__NR_dup3, Int(descriptors.1), 1), .descriptors) { return 127 }
    if failed(call(__NR_dup3, Int(descriptors.2), 2), .descriptors) { return 127 }
    if unsafe plan.pointee.root >= 0 {
        if unsafe failed(call(__NR_fchdir, Int(plan.pointee.root)), .root) { return 127 }
        var here: (UInt8, UInt8) = (0x2e, 0)
        // SAFETY: the two bytes outlive the call.
        let result = unsafe withUnsafeMutablePointer(to: &here) { call(__NR_chroot, Int(bitPattern: $0)) }
        if failed(result, .root) { return 127 }
    }
    if unsafe failed(call(__NR_chdir, plan.pointee.workingDirectory), .workingDirectory) { return 127 }
    if unsafe plan.pointee.hasIdentity {
        let groups = unsafe plan.pointee.groups
        let (user, group) = unsafe (Int(plan.pointee.userID), Int(plan.pointee.groupID))
        if failed(call(__NR_setgroups, groups.count, Int(bitPattern: groups.baseAddress)), .identity) { return 127 }
        if failed(call(__NR_setresgid, group, group, group), .identity) { return 127 }
        if failed(call(__NR_setresuid, user, user, user), .identity) { return 127 }
    }
    // Executing keeps ignored signals ignored and blocked ones blocked. The action is four words: handler, flags, restorer, mask.
    var action: (Int, Int, Int, Int) = (0, 0, 0, 0)
    for number in 1...64 {
        // SAFETY: the structure outlives the call. SIGKILL and SIGSTOP are refused, which is as well.
        unsafe withUnsafeMutablePointer(to: &action) {
            _ = call(__NR_rt_sigaction, number, Int(bitPattern: $0), 0, 8)
        }
    }
    var none: UInt64 = 0
    // SAFETY: the eight bytes outlive the call.
    unsafe withUnsafeMutablePointer(to: &none) { _ = call(__NR_rt_sigprocmask, 2, Int(bitPattern: $0), 0, 8) }

    // As a shell looks a command up: what may not be run is remembered while the search goes on.
    var error = -Int(ENOENT)
    var index = 0
    while unsafe plan.pointee.candidates[index] != 0 {
        let result = unsafe call(
            __NR_execve, plan.pointee.candidates[index], Int(bitPattern: plan.pointee.arguments),
            Int(bitPattern: plan.pointee.environment))
        switch -Int32(truncatingIfNeeded: result) {
        case ENOENT, ENOTDIR: break
        case EACCES: error = result
        default:
            _ = failed(result, .execution)
            return 127
        }
        index += 1
    }
    _ = failed(error, .execution)
    return 127
}

/// Lists of texts as `execve` takes them: tables of addresses that end with zero.
@safe private final class KernelStrings {
    private let bytes: UnsafeMutablePointer<UInt8>
    private let addresses: UnsafeMutablePointer<Int>
    private var starts: [Int] = []

    init(_ lists: [[UInt8]]...) {
        var byteCount = 1
        var addressCount = 0
        for list in lists {
            starts.append(addressCount)
            addressCount += list.count + 1
            for text in list { byteCount += text.count + 1 }
        }
        unsafe bytes = .allocate(capacity: byteCount)
        unsafe addresses = .allocate(capacity: addressCount)
        var (nextByte, nextAddress) = (0, 0)
        for list in lists {
            for text in list {
                // SAFETY: both allocations were counted above.
                unsafe addresses[nextAddress] = Int(bitPattern: bytes + nextByte)
                nextAddress += 1
                for byte in text {
                    unsafe bytes[nextByte] = byte
                    nextByte += 1
                }
                unsafe bytes[nextByte] = 0
                nextByte += 1
            }
            unsafe addresses[nextAddress] = 0
            nextAddress += 1
        }
    }

    deinit {
        unsafe bytes.deallocate()
        unsafe addresses.deallocate()
    }

    @unsafe func table(_ index: Int) -> UnsafePointer<Int> { unsafe UnsafePointer(addresses + starts[index]) }
}
