import AgentProtocol
import ChildPrograms
import FabricProtocol
import Foundation
import Glibc
import LinuxCalls
import Testing

@testable import FabricEngine

/// Nobody who is known anywhere.
private let user = "54321"

private let mayMakeNamespaces = Programs.run([
    "/usr/bin/setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", "/usr/bin/unshare", "-rn",
    "/bin/true",
]).hasSucceeded
let mayRunUserEngines =
    mayRunEngines && mayMakeNamespaces && FileManager.default.isExecutableFile(atPath: "/usr/bin/slirp4netns")
let userEnginesTake =
    "an ordinary user's engine takes user namespaces and slirp4netns; the test takes root, to be one, \(enginesTakeRoot)"

/// An ordinary user's fabric on what stands for this computer, whose engine is a process of that user's.
struct UserFabric {
    let computer: TestComputer
    var folder: EngineFolder { computer.folder }
    private static let program = "/run/swiftlet-fabric"

    /// - Parameter hasWayOut: whether slirp4netns is installed.
    init(hasWayOut: Bool = true) throws {
        computer = try TestComputer()
        try run(
            "/bin/sh", "-ec",
            """
            install -m 755 \(engineProgram) \(Self.program)
            install -m 755 \(Self.script) /run/guest.py
            mknod -m 666 /run/tun c 10 200 && mount --bind /run/tun /dev/net/tun
            rm -rf /run/fabric && install -d -m 700 -o \(user) -g \(user) /run/fabric /run/other
            ip link add outside type bridge && ip address add 203.0.113.5/24 dev outside && ip link set outside up
            """)
        if !hasWayOut {
            try run("/bin/sh", "-ec", "touch /run/none && mount --bind /run/none /usr/bin/slirp4netns")
        }
    }

    private static var script: String {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: "guest.py").path
    }

    /// As that user.
    private func own(_ words: [String]) -> [ByteString] {
        (["/usr/bin/setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"] + words)
            .map { ByteString($0) }
    }

    /// What the program is started for.
    @discardableResult
    func `do`(_ words: String...) throws -> String { try outcome(words) }

    @discardableResult
    func `do`(_ words: [String]) throws -> String { try outcome(words) }

    /// Beside the test. What it says is in the file; its standard input does not end.
    func start(_ words: [String], to file: String) throws -> Int32 {
        let output = try open(file, [.writeOnly, .create, .truncate], mode: 0o600)
        return try Programs.start(own([Self.program] + words), output: output.number, errors: output.number)
    }

    private func outcome(_ words: [String]) throws -> String {
        let outcome = Programs.run(own([Self.program] + words))
        guard outcome.hasSucceeded else {
            throw FabricFault("\(words): \(outcome.complaint) \(outcome.output)")
        }
        return outcome.output.description.trimmingCharacters(in: .newlines)
    }

    @discardableResult
    func ask(_ request: FabricRequest) throws -> String {
        var bytes: [UInt8] = []
        request.document.write(to: &bytes)
        try EngineFolder.write(bytes, to: "/run/request")
        try self.do("start", folder.path)
        return try self.do("ask", folder.path, "/run/request")
    }

    func set(_ change: FabricChange) throws {
        do { try ask(.change(change)) } catch {
            report("\(error) \((try? run("/bin/cat", folder.log)) ?? "")")
            throw error
        }
    }

    func end() { _ = try? ask(.end) }

    /// Starts the engine where the user may do less than here.
    func within(_ command: String) throws {
        let words = [
            "/usr/bin/unshare", "-U", "--map-user=\(user)", "--map-group=\(user)", "--keep-caps", "/bin/sh", "-ec",
        ]
        let outcome = Programs.run(own(words + ["\(command); exec \(Self.program) start \(folder.path)"]))
        if !outcome.hasSucceeded { throw FabricFault(outcome.complaint.description) }
    }

    /// In the fabric, as that user.
    @discardableResult
    func inside(_ words: String...) throws -> String { try outcome(["enter", folder.path] + words) }

    /// A guest at one of its devices, as that user's monitor has it.
    func guest(_ words: String...) throws -> String { try guest(words) }

    func guest(_ words: [String]) throws -> String {
        try outcome(["enter", folder.path, "/usr/bin/python3", "/run/guest.py"] + words)
    }

    var holder: Int32? { NamespaceHolder.find(folder) }
    var engine: Int32? { ProcessFile.holder(folder.lock) }
    /// The one of this fabric's holder, or of one that there was.
    func slirp(of holder: Int32?) -> Int32? {
        guard let holder, let said = try? run("/usr/bin/pgrep", "-f", "^/usr/bin/slirp4netns.*/proc/\(holder)/fd/")
        else {
            return nil
        }
        return said.split(separator: "\n").first.flatMap { Int32($0) }
    }

    /// Has this thread be in the fabric's network, where namespaces stand for machines.
    func enter() throws {
        let network = try LinuxCalls.open("/proc/\(holder ?? 0)/fd/\(NamespaceHolder.network)", .readOnly)
        try ProcessSetup.joinNetwork(network.number)
    }
}

extension FabricPort {
    /// An end for wires.
    static func end(_ number: UInt16) -> FabricPort {
        FabricPort(number: number, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
    }
}
