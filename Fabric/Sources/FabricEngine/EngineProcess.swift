import AgentProtocol
import ChildPrograms
public import FabricProtocol
import LinuxCalls
import Wiring

/// The engine as a process of its own. All signals must be blocked.
public enum EngineProcess {
    static let ready: ByteString = "ready"
    /// A minute, which an emulated processor that is busy may need to end an engine.
    private static let lockAttempts = 3000
    private static let lockPauseNanoseconds: UInt64 = 20_000_000
    /// A hundred others may have asked before, each of whom takes a third of a second on an emulated processor; and rules may take
    /// their time.
    public static let answerMilliseconds: UInt64 = 240_000

    /// Networks of root are in a namespace that is bound to a file, those of others in one that a process keeps.
    private static var isRoot: Bool { Namespaces.effectiveUser() == 0 }

    /// Makes sure that an engine serves the folder.
    /// - Parameter program: this one's own path.
    public static func start(_ folder: EngineFolder, program: ByteString) throws(FabricFault) {
        try EngineFolder.make(folder.path)
        try checkOwner(folder)
        if isServed(folder) {
            if !isRoot { try NamespaceHolder.start(folder, program: program) }
            return
        }
        try start("serve", folder, program: program, called: "the fabric's engine")
    }

    /// What another user has there is that one's fabric, which this one would make its own in part.
    private static func checkOwner(_ folder: EngineFolder) throws(FabricFault) {
        guard let facts = try? FileTree.facts(Array(folder.path.utf8)), facts.userID != Namespaces.effectiveUser()
        else { return }
        throw FabricFault(
            "\(folder.path) belongs to the user \(facts.userID): run this as that user, or name another folder with SWIFTLET_RUNTIME"
        )
    }

    /// Starts this program with that errand, and waits until it is ready.
    /// - Parameter name: what people are told that could not be started.
    static func start(
        _ errand: String, _ folder: EngineFolder, program: ByteString, called name: String
    ) throws(FabricFault) {
        var said: [UInt8] = []
        do throws(LinuxError) {
            let pipe = try PipePair()
            let reading = try pipe.reading.duplicate()
            try start(errand, consume pipe, folder, program)
            said = try FileTree.contents(reading.number, maximumBytes: 4096)
        } catch {
            throw FabricFault("\(name) cannot be started: \(error)")
        }
        if said == ready.bytes { return }
        throw FabricFault(
            said.isEmpty ? "\(name) ended without a word; see \(folder.log)" : String(decoding: said, as: UTF8.self))
    }

    private static func start(
        _ errand: String, _ pipe: consuming PipePair, _ folder: EngineFolder, _ program: ByteString
    ) throws(LinuxError) {
        let log = try open(folder.log, [.writeOnly, .create, .append], mode: 0o644)
        let null = try open("/dev/null", .readOnly)
        do throws(ChildFailure) {
            _ = try Children.start(
                ChildCommand(
                    candidates: [program.bytes],
                    arguments: [program.bytes, Array(errand.utf8), Array(folder.path.utf8)], environment: [],
                    standardDescriptors: (null.number, pipe.writing.number, log.number)))
        } catch { throw error.error }
    }

    /// Serves the folder until it is told to end. Standard output is told once how the beginning went.
    /// - Parameter program: this one's own path.
    public static func serve(_ folder: EngineFolder, program: ByteString) throws(FabricFault) {
        guard let lock = try lock(folder) else {
            writeToStandardOutput(ready.description)
            return
        }
        let isFirst = isRoot ? false : try NamespaceHolder.start(folder, program: program)
        do throws(FabricFault) { try serve(try isRoot ? rootEngine(folder) : userEngine(folder), folder) } catch {
            if isFirst { NamespaceHolder.end(folder) }
            throw error
        }
        _ = consume lock
    }

    private static func serve(_ engine: Engine, _ folder: EngineFolder) throws(FabricFault) {
        try engine.resume()
        let server = try EngineServer(engine, folder)
        writeToStandardOutput(ready.description)
        do throws(LinuxError) { try ProcessSetup.copyDescriptor(2, to: 1) } catch {
            throw FabricFault("standard output cannot be let go: \(error)")
        }
        engine.lookAtEnds()
        server.run()
        try? removeFile(folder.socket)
        engine.nameServers.endAll()
        engine.strictNameServers.endAll()
        engine.viewServers.endAll()
        engine.ruleSession.end()
        if server.wasEnded { takeAway(engine, folder) }
    }

    private static func rootEngine(_ folder: EngineFolder) throws(FabricFault) -> Engine {
        let namespace = try EngineNamespace(folder)
        let engine = try Engine(folder)
        let wayOut = WayOut(folder, namespace)
        engine.wayOut = wayOut
        engine.publisher = Publisher(wayOut)
        return engine
    }

    private static func userEngine(_ folder: EngineFolder) throws(FabricFault) -> Engine {
        try NamespaceHolder.join(folder)
        do throws(LinuxError) {
            // For the computer's programs that the engine runs.
            try PrivilegeDrop.passOn(.all)
        } catch { throw FabricFault("capabilities over the fabric's network cannot be passed on: \(error)") }
        let engine = try Engine(folder)
        engine.wayOut = UserWayOut(folder)
        engine.publisher = UserPublisher(folder)
        return engine
    }

    /// What is in the namespace goes with it. The lock stays, for whoever waits for it to begin anew.
    private static func takeAway(_ engine: Engine, _ folder: EngineFolder) {
        for names in folder.allNames { names.remove() }
        engine.wayOut?.remove()
        if isRoot { EngineNamespace.unbind(folder) } else { NamespaceHolder.end(folder) }
        for file in [folder.plan, folder.log] { try? removeFile(file) }
    }

    /// Whether an engine listens, though it may have no time for one more at the moment.
    private static func isServed(_ folder: EngineFolder) -> Bool {
        do throws(LinuxError) {
            _ = try UnixSocket.connect(folder.socket)
            return true
        } catch {
            return error == .tryAgain
        }
    }

    /// Two at once would undo each other's work. One that is about to end is waited for.
    /// - Returns: nil when another engine has begun to serve meanwhile.
    private static func lock(_ folder: EngineFolder) throws(FabricFault) -> FileDescriptor? {
        do throws(LinuxError) {
            for _ in 0..<lockAttempts {
                do throws(LinuxError) { return try ProcessFile.take(folder.lock) } catch {
                    if error != .tryAgain { throw error }
                }
                if isServed(folder) { return nil }
                sleep(nanoseconds: lockPauseNanoseconds)
            }
        } catch {
            throw FabricFault("\(folder.lock) cannot be locked: \(error)")
        }
        throw FabricFault("another engine serves \(folder.path), and does not answer")
    }

    /// Asks the engine that serves the folder.
    /// - Returns: what it answered.
    public static func ask(
        _ folder: EngineFolder, _ request: [UInt8], patienceMilliseconds: UInt64 = answerMilliseconds
    ) throws(FabricFault) -> [UInt8] {
        do throws(LinuxError) {
            let connection = try connect(folder)
            try setNonBlocking(connection.number, false)
            try setTimeouts(connection.number, milliseconds: patienceMilliseconds)
            try writeAll(connection.number, request)
            shutDownSocket(connection.number, 1)
            return try FileTree.contents(connection.number, maximumBytes: 16 << 20)
        } catch {
            let reason = error == .tryAgain ? "not in \(patienceMilliseconds / 1000) seconds" : "\(error)"
            throw FabricFault("the fabric's engine at \(folder.socket) does not answer: \(reason)")
        }
    }

    /// Starts an engine where one was killed, so that what it has left is not left for ever. Where none has anything, none
    /// is needed.
    /// - Parameter program: this one's own path.
    public static func startWhereKilled(_ folder: EngineFolder, program: ByteString) throws(FabricFault) {
        guard (try? FileTree.facts(Array(folder.plan.utf8))) != nil else { return }
        try start(folder, program: program)
    }

    /// One that has no time for one more at the moment is waited for.
    private static func connect(_ folder: EngineFolder) throws(LinuxError) -> FileDescriptor {
        for _ in 0..<lockAttempts {
            do throws(LinuxError) { return try UnixSocket.connect(folder.socket) } catch {
                if error != .tryAgain { throw error }
            }
            sleep(nanoseconds: lockPauseNanoseconds)
        }
        throw .tryAgain
    }

    /// Has the process be in the fabric's network namespace from now on. With one thread only.
    public static func join(_ folder: EngineFolder) throws(FabricFault) {
        if !isRoot { return try NamespaceHolder.join(folder) }
        do throws(LinuxError) {
            let namespace = try open(folder.namespace, .readOnly)
            try ProcessSetup.joinNetwork(namespace.number)
        } catch {
            throw FabricFault("the network namespace \(folder.namespace) cannot be entered: \(error)")
        }
    }

    /// Whether the thread is in the fabric's network namespace.
    public static func isInside(_ folder: EngineFolder) -> Bool {
        guard let own = try? open("/proc/thread-self/ns/net", .readOnly), let one = try? FolderCalls.status(own.number),
            let fabric = try? open(folder.namespace, .readOnly), let other = try? FolderCalls.status(fabric.number)
        else { return false }
        return (one.device, one.inode) == (other.device, other.inode)
    }

    /// Executes a program in the fabric's network namespace, and returns only to say why not.
    public static func enter(_ folder: EngineFolder, _ arguments: [ByteString]) -> FabricFault {
        guard let program = arguments.first else { return FabricFault("a program is to be named") }
        do throws(FabricFault) {
            try join(folder)
            // Devices of the network are opened by who may change it.
            do throws(LinuxError) { if !isRoot { try PrivilegeDrop.passOn(.network) } } catch {
                throw FabricFault("the capability over the fabric's network cannot be passed on: \(error)")
            }
        } catch { return error }
        let error = ProcessSetup.execute(program.bytes, arguments.map { $0.bytes })
        return FabricFault("\(program) cannot be executed: \(error)")
    }
}
