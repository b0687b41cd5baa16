import AgentProtocol
import ChildPrograms
import FabricProtocol
import LinuxCalls

/// The process that keeps the namespaces of an ordinary user's fabric, as others see it.
///
/// Such a user may bind no namespace to a file, as root does. So a process has both open, the user namespace that the fabric's
/// network belongs to and that network; whoever is the same user opens them there.
enum NamespaceHolder {
    /// The numbers of the two descriptors: above all that the process opens otherwise.
    static let users: Int32 = 100
    static let network: Int32 = 101
    private static let patienceNanoseconds: UInt64 = 10_000_000_000
    private static let pauseNanoseconds: UInt64 = 2_000_000

    static func find(_ folder: EngineFolder) -> Int32? { ProcessFile.holder(folder.holder) }

    /// Makes sure that there is one.
    /// - Returns: whether there was none.
    @discardableResult
    static func start(_ folder: EngineFolder, program: ByteString) throws(FabricFault) -> Bool {
        if find(folder) != nil { return false }
        try EngineProcess.start(
            "hold", folder, program: program, called: "the process that keeps the fabric's namespaces")
        return true
    }

    /// Has the process be in both namespaces from now on, with every capability over them. With one thread only.
    static func join(_ folder: EngineFolder) throws(FabricFault) {
        do throws(LinuxError) {
            let kept = try namespaces(folder)
            try UserNamespace.join(kept.users.number)
            try ProcessSetup.joinNetwork(kept.network.number)
        } catch {
            throw FabricFault(
                "the namespaces of the fabric at \(folder.path) cannot be entered: \(error); see swiftlet network repair"
            )
        }
    }

    /// Where nobody keeps them any more, some are still in them.
    private static func namespaces(_ folder: EngineFolder) throws(LinuxError) -> EngineNamespaces {
        if let process = find(folder) {
            let place = "/proc/\(process)/fd/"
            return EngineNamespaces(
                users: try open(place + "\(users)", .readOnly), network: try open(place + "\(network)", .readOnly))
        }
        guard let found = try left(folder) else { throw LinuxError.noEntry }
        return found
    }

    /// Those that the engine is in; where none runs, or it is still outside, those that a program for names is in which one before has
    /// started. Nil where there is none either.
    static func left(_ folder: EngineFolder) throws(LinuxError) -> EngineNamespaces? {
        let own = try FileTree.readLink([UInt8]("/proc/self/ns/user".utf8))
        let candidates = [ProcessFile.holder(folder.lock)] + folder.allNames.map(NameServers.process)
        for case let process? in candidates {
            let place = "/proc/\(process)/ns/"
            // It may end meanwhile.
            guard let theirs = try? FileTree.readLink([UInt8]((place + "user").utf8)), theirs != own,
                let users = try? open(place + "user", .readOnly), let network = try? open(place + "net", .readOnly)
            else { continue }
            return EngineNamespaces(users: users, network: network)
        }
        return nil
    }

    /// Has it start the program anew that leads out, which does not answer.
    static func renewWayOut(_ folder: EngineFolder) {
        if let process = find(folder) { try? Children.signal(process, SignalNumber.user1) }
    }

    /// Ends it, and with it what leads out; then nothing keeps the namespaces but the processes in them.
    static func end(_ folder: EngineFolder) {
        for signal in [SignalNumber.terminate, SignalNumber.kill] {
            guard let process = find(folder) else { break }
            try? Children.signal(process, signal)
            let until = Clock.monotonic.nanoseconds() + patienceNanoseconds
            while find(folder) != nil, Clock.monotonic.nanoseconds() < until { sleep(nanoseconds: pauseNanoseconds) }
        }
        try? removeFile(folder.slirp)
    }
}

struct EngineNamespaces: ~Copyable {
    let users: FileDescriptor
    let network: FileDescriptor
}
