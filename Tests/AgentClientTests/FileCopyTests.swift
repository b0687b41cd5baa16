import AgentProtocol
import Foundation
import LinuxCalls
import Testing

@testable import AgentClient

/// Copies with agents that do not keep up their side.
@Suite struct FileCopyTests {
    /// A folder with an agent's socket in it, removed afterwards.
    private final class Scratch {
        let folder = NSTemporaryDirectory() + "copy-\(UInt32.random(in: 0...(.max)))"
        let listener: FileDescriptor
        var endpoint: DirectEndpoint { DirectEndpoint(path: folder + "/agent") }

        init() throws {
            try FileManager.default.createDirectory(atPath: folder + "/here", withIntermediateDirectories: true)
            listener = try UnixSocket.listen(folder + "/agent")
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        /// Takes one connection on a thread of its own, sends these messages, and leaves.
        func answer(_ messages: [TransferMessage]) throws {
            let number = listener.number
            try startThread(stackBytes: 512 << 10) {
                for _ in 0..<4000 {
                    if let connection = try? UnixSocket.accept(number) {
                        try? setNonBlocking(connection.number, false)
                        var request: [UInt8] = []
                        _ = try? read(connection.number, appendingTo: &request, maximumBytes: 1 << 12)
                        for message in messages { try? writeAll(connection.number, Frame(message).encoded()) }
                        // What the other side still has to send must not break the connection before it has read.
                        shutDownSocket(connection.number, 1)
                        while let count = try? read(connection.number, appendingTo: &request, maximumBytes: 1 << 12),
                            count > 0
                        {}
                        return
                    }
                    sleep(nanoseconds: 1_000_000)
                }
            }
        }

        func names() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: folder + "/here").sorted()
        }
    }

    private func error(_ body: () throws -> Void) -> AgentClientError? {
        do {
            try body()
            return nil
        } catch { return error as? AgentClientError }
    }

    @Test func `a machine that sends nothing is given up`() throws {
        let scratch = try Scratch()
        let error = error {
            try FileCopy.outOf(
                scratch.endpoint, from: "/etc/hosts", to: scratch.folder + "/here/", patience: .milliseconds(100))
        }
        #expect(error?.code == .silent && error?.message.contains("sent nothing for 0.1 seconds") == true)
        #expect(try scratch.names() == [])
    }

    @Test func `a machine that takes nothing is given up`() throws {
        let scratch = try Scratch()
        let large = scratch.folder + "/large"
        try Data(count: 8 << 20).write(to: URL(fileURLWithPath: large))
        let error = error {
            try FileCopy.into(scratch.endpoint, from: large, to: "/tmp/", patience: .milliseconds(100))
        }
        #expect(error?.code == .silent && error?.message.contains("taken nothing for 0.1 seconds") == true)
    }

    @Test func `a file that has not come whole is not there, and what it was to replace is`() throws {
        let scratch = try Scratch()
        let file = scratch.folder + "/here/file"
        try Data("old".utf8).write(to: URL(fileURLWithPath: file))
        try scratch.answer([
            .entry(TransferEntry(.regular(sizeBytes: 9), path: "", permissions: 0o644)), .data([1, 2, 3]),
        ])
        let error = error {
            try FileCopy.outOf(scratch.endpoint, from: "/tmp/file", to: file, patience: .seconds(20))
        }
        #expect(error?.code == .gone && error?.message.contains("left") == false)
        #expect(try scratch.names() == ["file"])
        #expect(FileManager.default.contents(atPath: file) == Data("old".utf8))
    }

    /// What a guest's file holds, or the code of what is thrown.
    private func contents(_ messages: [TransferMessage], limit: Int = 4) throws -> (bytes: [UInt8]?, String?) {
        let scratch = try Scratch()
        try scratch.answer(messages)
        do {
            let bytes = try FileCopy.contents(
                of: "/run/file", in: scratch.endpoint, limit: limit, patience: .seconds(20))
            return (bytes, nil)
        } catch { return (nil, error.code.rawValue) }
    }

    @Test func `a guest's file is read into memory up to a limit, whole, and only a file`() throws {
        let file = TransferMessage.entry(TransferEntry(.regular(sizeBytes: 3), path: "", permissions: 0o644))
        let folder = TransferMessage.entry(TransferEntry(.directory, path: "", permissions: 0o755))
        #expect(try contents([file, .data([1, 2]), .data([3, 4]), .end]) == ([1, 2, 3, 4], nil))
        #expect(try contents([file, .end]) == ([], nil))
        #expect(try contents([.failure(Failure(.noSuchFile, text: "none"))]) == (nil, nil))
        #expect(try contents([file, .data([1, 2]), .data([3, 4, 5]), .end]) == (nil, "agent.refused"))
        #expect(try contents([folder, .end]) == (nil, "agent.refused"))
        #expect(try contents([file, .data([1]), .failure(Failure(.fileSystem, text: "no"))]) == (nil, "agent.refused"))
        #expect(try contents([file, .data([1])]) == (nil, "agent.gone"))
        #expect(try contents([file, file, .end]) == (nil, "agent.malformed"))
        #expect(try contents([.data([1]), .end]) == (nil, "agent.malformed"))
    }

    @Test func `what has come whole before a copy broke is said to be left`() throws {
        let scratch = try Scratch()
        try scratch.answer([
            .entry(TransferEntry(.directory, path: "", permissions: 0o755)),
            .entry(TransferEntry(.regular(sizeBytes: 3), path: "a", permissions: 0o644)), .data([1, 2, 3]),
            .entry(TransferEntry(.regular(sizeBytes: 9), path: "b", permissions: 0o644)), .data([1, 2, 3]),
            .failure(Failure(.fileSystem, text: "reading below /srv")),
        ])
        let error = error {
            try FileCopy.outOf(
                scratch.endpoint, from: "/srv", to: scratch.folder + "/here", patience: .seconds(20))
        }
        #expect(error?.message == "reading below /srv; what arrived whole before is left there: 2 files and folders")
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.folder + "/here/srv") == ["a"])
    }
}
