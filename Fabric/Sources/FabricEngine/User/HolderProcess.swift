public import AgentProtocol
public import FabricProtocol
import LinuxCalls

/// Keeps the namespaces of an ordinary user's fabric, and what leads out of it, until it is told to end (SIGTERM).
///
/// It is in a user namespace of its own, in which its user is called root and may do nothing outside: the way out wants that for its
/// sandbox. The fabric's lies within, and knows the user by its own number. All signals must be blocked.
public enum HolderProcess {
    private static let attempts = 500
    private static let pauseNanoseconds: UInt64 = 20_000_000

    /// - Parameter program: this one's own path.
    public static func run(_ folder: EngineFolder, program: ByteString) throws(FabricFault) {
        guard let lock = try lock(folder) else { return writeToStandardOutput(EngineProcess.ready.description) }
        try UserObstacles.checkDevice()
        do throws(LinuxError) {
            let namespaces: EngineNamespaces
            if let kept = try NamespaceHolder.left(folder) {
                let outer = try UserNamespace.parent(of: kept.users.number)
                try UserNamespace.join(outer.number)
                namespaces = kept
            } else {
                namespaces = try make(program)
            }
            // What whoever started it had open.
            ProcessSetup.closeDescriptors(from: NamespaceHolder.users)
            try place(namespaces.users.number, at: NamespaceHolder.users)
            try place(namespaces.network.number, at: NamespaceHolder.network)
        } catch {
            throw UserObstacles.fault(error)
        }
        _ = FolderCalls.raiseOpenFileLimit()
        do throws(LinuxError) {
            let keeper = try SlirpKeeper(folder)
            writeToStandardOutput(EngineProcess.ready.description)
            try ProcessSetup.copyDescriptor(2, to: 1)
            keeper.run()
        } catch {
            throw FabricFault("the fabric's namespaces cannot be kept: \(error)")
        }
        _ = consume lock
    }

    /// - Returns: nil when another one has begun to keep them meanwhile.
    private static func lock(_ folder: EngineFolder) throws(FabricFault) -> FileDescriptor? {
        for _ in 0..<attempts {
            do throws(LinuxError) { return try ProcessFile.take(folder.holder) } catch {
                if error != .tryAgain { throw FabricFault("\(folder.holder) cannot be locked: \(error)") }
            }
            // Somebody may only be looking.
            if NamespaceHolder.find(folder) != nil { return nil }
            sleep(nanoseconds: pauseNanoseconds)
        }
        throw FabricFault("\(folder.holder) is locked by somebody")
    }

    private static func make(_ program: ByteString) throws(LinuxError) -> EngineNamespaces {
        let (user, group) = (Namespaces.effectiveUser(), Namespaces.effectiveGroup())
        try Namespaces.leave(.user)
        try UserNamespace.map(user: (0, user), group: (0, group))
        let input = try PipePair()
        let output = try PipePair()
        let errors = try FileDescriptor(duplicating: 2)
        let process: Int32
        do throws(ChildFailure) {
            process = try Children.start(
                ChildCommand(
                    candidates: [program.bytes],
                    arguments: [program, "namespaces", ByteString(UInt64(user)), ByteString(UInt64(group))].map {
                        $0.bytes
                    },
                    environment: [], standardDescriptors: (input.reading.number, output.writing.number, errors.number)))
        } catch { throw error.error }
        // Both ends of the child's are its alone from here on, so that its end is seen.
        let said = try output.reading.duplicate()
        _ = consume output
        defer {
            try? Children.signal(process, SignalNumber.kill)
            _ = try? Children.wait(for: process)
        }
        var bytes: [UInt8] = []
        _ = try read(said.number, appendingTo: &bytes, maximumBytes: 8)
        guard bytes.count == 4 else { throw LinuxError.brokenPipe }
        let number = bytes.reversed().reduce(Int32(0)) { $0 << 8 | Int32($1) }
        if number != 0 { throw LinuxError(number) }
        let place = "/proc/\(process)/ns/"
        return EngineNamespaces(
            users: try open(place + "user", .readOnly), network: try open(place + "net", .readOnly))
    }

    /// The process of a moment that namespaces are made in: one that has made a user namespace cannot go back. Says on its standard
    /// output, in four bytes, the number of the error that there was, and goes on until it is killed.
    /// - Parameters:
    ///   - user: what the user is called in it.
    ///   - group: the same.
    public static func makeNamespaces(user: UInt32, group: UInt32) -> Int32 {
        var number: Int32 = 0
        do throws(LinuxError) {
            try Namespaces.leave([.user, .network])
            try UserNamespace.map(user: (user, 0), group: (group, 0))
        } catch { number = error.number }
        try? writeAll(1, (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) })
        var bytes: [UInt8] = []
        _ = try? read(0, appendingTo: &bytes, maximumBytes: 1)
        return 0
    }

    private static func place(_ descriptor: Int32, at number: Int32) throws(LinuxError) {
        // F_DUPFD_CLOEXEC: the first number from there on that is free. Source: fcntl(2).
        let placed = try fileControl(descriptor, 1030, Int(number))
        if placed != number { throw LinuxError.busy }
    }
}
