import AgentProtocol
import Foundation
import LinuxCalls
import Testing

/// A real agent in a process of its own, reached over a Unix socket, and what a host does with it.
final class TestAgent {
    private let process = Process()
    let folder: String
    private let path: String
    let dialled: FileDescriptor

    /// - Parameters:
    ///   - controlGroup: which the agent is to be in, and holds its programs by.
    ///   - isolation: what a shell does in namespaces of its own (mounts, names, network) before it becomes the agent.
    init(dials: Bool = false, controlGroup: String? = nil, isolation: String? = nil) throws {
        folder = "/tmp/swiftlet-agent-test-\(UInt32.random(in: 0...(.max)))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        path = folder + "/agent"
        dialled = try UnixSocket.listen(path + "_host")
        let tests = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        let program = Self.program(from: tests)
        var arguments = ["--unix", path] + (dials ? ["--dial"] : [])
        if let controlGroup { arguments += ["--control-group", controlGroup] }
        if controlGroup == nil, isolation == nil {
            process.executableURL = program
            process.arguments = arguments
        } else {
            let first = controlGroup.map { "echo $$ > \($0)/cgroup.procs; " } ?? ""
            let script = first + (isolation.map { $0 + "; " } ?? "") + "exec \"$0\" \"$@\""
            let shell = ["sh", "-ec", script, program.path] + arguments
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = isolation == nil ? shell : ["unshare", "--mount", "--uts", "--net", "--"] + shell
        }
        try process.run()
        // It listens soon after the name is there.
        for _ in 0..<6000 where process.isRunning {
            if (try? UnixSocket.connect(path)) != nil { return }
            sleep(nanoseconds: 5_000_000)
        }
        throw LinuxError.connectionRefused
    }

    /// The agent lies beside the test bundle, wherever the test runner was started from.
    private static func program(from folder: URL) -> URL {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let package = here.deletingLastPathComponent().deletingLastPathComponent()
        let candidates = [folder, package.appendingPathComponent(".build/debug")]
        for candidate in candidates {
            let program = candidate.appendingPathComponent("swiftlet-agent")
            if FileManager.default.isExecutableFile(atPath: program.path) { return program }
        }
        return candidates[1].appendingPathComponent("swiftlet-agent")
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: folder)
    }

    var processIdentifier: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }
    func waitUntilExit() { process.waitUntilExit() }

    func connect(_ opening: Opening) throws -> TestConnection {
        let connection = TestConnection(try UnixSocket.connect(path))
        try connection.send(opening.encoded())
        return connection
    }

    func acceptFromAgent() throws -> (Opening, TestConnection) {
        for _ in 0..<4000 {
            if let accepted = try UnixSocket.accept(dialled.number) {
                let connection = TestConnection(accepted)
                return (try Opening(decoding: try connection.receive(exactly: Opening.byteCount)), connection)
            }
            sleep(nanoseconds: 2_000_000)
        }
        throw LinuxError.connectionRefused
    }

    /// A control connection whose greeting has been read.
    func control() throws -> TestControl {
        let control = TestControl(try connect(Opening(.control)))
        guard case .hello = try control.next().message else { throw LinuxError.protocolError }
        return control
    }

    /// The resident memory of the agent.
    func residentKilobytes() throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(processIdentifier)/status", encoding: .utf8)
        for line in text.split(separator: "\n") where line.hasPrefix("VmRSS") {
            return Int(line.split(separator: " ").dropLast().last ?? "") ?? 0
        }
        return 0
    }
}

/// A blocking connection.
final class TestConnection {
    let file: FileDescriptor

    init(_ file: consuming FileDescriptor) {
        self.file = file
        try? setNonBlocking(self.file.number, false)
    }

    func send(_ bytes: [UInt8]) throws { try writeAll(file.number, bytes) }
    func endOfInput() { shutDownSocket(file.number, 1) }

    func receive(exactly count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            if try read(file.number, appendingTo: &bytes, maximumBytes: count - bytes.count) == 0 {
                throw LinuxError.protocolError
            }
        }
        return bytes
    }

    func receiveAll() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while try read(file.number, appendingTo: &bytes, maximumBytes: 64 << 10) > 0 {}
        return bytes
    }

    func text() throws -> String { String(decoding: try receiveAll(), as: UTF8.self) }
}

/// A connection of frames, from the host's side.
final class TestFrames<Outgoing: FramedMessage, Incoming: FramedMessage> {
    let connection: TestConnection
    var assembler = FrameAssembler<Incoming>()

    init(_ connection: TestConnection) { self.connection = connection }

    func send(_ message: Outgoing, id: UInt32 = 0) throws { try connection.send(Frame(message, id: id).encoded()) }

    func next() throws -> Frame<Incoming> {
        while true {
            if let frame = try assembler.next() { return frame }
            var bytes: [UInt8] = []
            if try read(connection.file.number, appendingTo: &bytes, maximumBytes: 4096) == 0 {
                throw LinuxError.protocolError
            }
            assembler.append(bytes)
        }
    }
}

extension TestFrames {
    /// Raw bytes that follow the frames.
    func raw(exactly count: Int) throws -> [UInt8] {
        let early = assembler.takeRest()
        return early + (try connection.receive(exactly: count - early.count))
    }
}

typealias TestControl = TestFrames<HostMessage, AgentMessage>
typealias TestFiles = TestFrames<TransferMessage, TransferMessage>

let testToken = Token(first: 0x1122_3344, second: 0x5566_7788)

func start(
    _ arguments: ByteString..., environment: [ByteString] = [], user: ByteString = "",
    workingDirectory: ByteString = "",
    streams: Start.Streams = .pipes(input: true, output: true, error: true), origin: Start.StreamOrigin = .host
) -> HostMessage {
    .start(
        Start(
            arguments: arguments, environment: environment, user: user, workingDirectory: workingDirectory,
            streams: streams, streamOrigin: origin, token: testToken))
}

extension TestAgent {
    func stream(_ which: ProcessStream, _ process: UInt32) throws -> TestConnection {
        try connect(Opening(.stream(which, process: process, token: testToken)))
    }

    /// Runs a command to its end.
    func run(_ message: HostMessage, input: String = "", id: UInt32 = 1) throws -> (
        output: String, error: String, status: UInt8
    ) {
        let control = try control()
        try control.send(message, id: id)
        let standardInput = try stream(.standardInput, id)
        let standardOutput = try stream(.standardOutput, id)
        let standardError = try stream(.standardError, id)
        try? standardInput.send([UInt8](input.utf8))
        standardInput.endOfInput()
        let first = try control.next().message
        if case .failure(let failure) = first { return ("", failure.text.description, failure.shellStatus) }
        let output = try standardOutput.text()
        let error = try standardError.text()
        guard case .exited(let status) = try control.next().message else { throw LinuxError.protocolError }
        return (output, error, status.shellStatus)
    }
}
