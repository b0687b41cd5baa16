import AgentClient
import Foundation
import HostFiles
import LinuxCalls
import Testing

@testable import Fleet

/// Snapshots in a folder of their own, removed afterwards.
private final class Scratch {
    let folder = NSTemporaryDirectory() + "snapshots-\(UInt64.random(in: 0...UInt64.max))"
    let store: SnapshotStore
    let source: HostPath

    init() throws {
        store = SnapshotStore(ProductPaths(data: folder, runtime: folder, libexec: folder))
        source = HostPath(folder).appending("control")
        try FileManager.default.createDirectory(atPath: folder + "/control", withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// What a monitor writes, and a record for it.
    func draft(_ name: String, id: String) throws -> SnapshotRecord {
        try source.appending("state").replaceWhole(Array("state".utf8))
        try source.appending("memory").replaceWhole(Array("memory".utf8))
        return SnapshotRecord(
            id: id, name: name, createdSeconds: 1, machineID: "abc", machineName: "web",
            specification: MachineSpecification())
    }

    func code(_ body: () throws -> Void) -> SnapshotError.Code? {
        do { try body() } catch { return (error as? SnapshotError)?.code }
        return nil
    }

    var names: Set<String> {
        Set(((try? HostPath(folder + "/snapshots").folderNames()) ?? []).map { String(decoding: $0, as: UTF8.self) })
    }
}

@Suite struct SnapshotStoreTests {
    @Test func `a snapshot is taken over whole, found and removed`() throws {
        let scratch = try Scratch()
        let made = try scratch.store.take(scratch.draft("first", id: "aaa111"), from: scratch.source)
        #expect(made.stateBytes == 5 && made.memoryBytes == 6)
        #expect(scratch.store.list() == [made])
        #expect(try scratch.store.find("first") == made && scratch.store.find("aaa") == made)
        #expect(scratch.code { _ = try scratch.store.find("aa") } == .unknown)
        #expect(try scratch.source.folderNames().isEmpty)
        try scratch.store.remove("first")
        #expect(scratch.store.list().isEmpty && scratch.names == [".lock"])
    }

    @Test func `a name is taken once, and who comes second leaves nothing`() throws {
        let scratch = try Scratch()
        _ = try scratch.store.take(scratch.draft("first", id: "aaa111"), from: scratch.source)
        let second = try scratch.draft("first", id: "aaa222")
        #expect(scratch.code { _ = try scratch.store.take(second, from: scratch.source) } == .duplicateName)
        #expect(scratch.names == [".lock", "aaa111"])
        _ = try scratch.store.take(scratch.draft("second", id: "aaa222"), from: scratch.source)
        #expect(scratch.code { _ = try scratch.store.find("aaa") } == .ambiguous)
    }

    @Test func `a snapshot that lacks a file is never listed`() throws {
        let scratch = try Scratch()
        let draft = try scratch.draft("first", id: "aaa111")
        try scratch.source.appending("memory").removeFile()
        #expect(scratch.code { _ = try scratch.store.take(draft, from: scratch.source) } == .unusableFolder)
        #expect(scratch.store.list().isEmpty && scratch.names.isEmpty)
    }

    @Test func `what killed commands left is not listed, and goes`() throws {
        let scratch = try Scratch()
        _ = try scratch.store.take(scratch.draft("first", id: "aaa111"), from: scratch.source)
        for name in [".gone-aaa222", ".new-aaa333", ".new-aaa444"] {
            try FileManager.default.createDirectory(
                atPath: scratch.folder + "/snapshots/" + name, withIntermediateDirectories: true)
        }
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -7200)],
            ofItemAtPath: scratch.folder + "/snapshots/.new-aaa333")
        #expect(scratch.store.list().count == 1)
        scratch.store.removeLeftovers()
        #expect(scratch.names == [".lock", "aaa111", ".new-aaa444"])
    }

    @Test(arguments: ["", "..", "a/b", ".hidden", "ü"])
    func `what is no name is refused`(_ name: String) {
        #expect(throws: SnapshotError.self) { try SnapshotStore.check(name: name) }
    }
}

@Suite struct MonitorAnswerTests {
    private let whole = "HTTP/1.1 400 \r\nServer: x\r\ncontent-length: 5\r\n\r\n{\"a\"}"

    @Test func `an answer is read when all of it is there`() throws {
        let bytes = Array(whole.utf8)
        for count in 0..<bytes.count { #expect(try MonitorAnswer(Array(bytes[..<count])) == nil) }
        let answer = try #require(try MonitorAnswer(bytes + [1, 2, 3]))
        #expect(answer.status == 400 && answer.body == Array("{\"a\"}".utf8))
        #expect(try MonitorAnswer(Array("HTTP/1.1 204 \r\n\r\n".utf8))?.body.isEmpty == true)
    }

    @Test(arguments: [
        "", "HTTP/1.1", "HTTP/1.1 99", "HTTP/1.1 600", "HTTP/1.1 -200", "SSH-2.0 200", "HTTP/1.1 x",
        "HTTP/1.1 200\r\nContent-Length: -1", "HTTP/1.1 200\r\nContent-Length: 99999999999999999999",
        "HTTP/1.1 200\r\nContent-Length: 1048577", "HTTP/1.1 200\r\nContent-Length:",
    ])
    func `what is no answer is refused`(_ text: String) {
        #expect(throws: AgentClientError.self) { try MonitorAnswer(Array((text + "\r\n\r\n").utf8)) }
    }

    @Test func `no bytes trap`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = Array(whole.utf8)
            for _ in 0..<Int.random(in: 0...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? MonitorAnswer(bytes)
        }
    }
}

/// A monitor that says what it is told to, once.
@Suite struct MonitorControlTests {
    private func ask(_ answer: [UInt8]?) throws -> FleetError? {
        let path = NSTemporaryDirectory() + "control-\(UInt64.random(in: 0...UInt64.max))"
        let listener = try LocalSockets().listen(path + "_control", expecting: 1)
        defer { listener.close() }
        let thread = Thread {
            guard waitUntilReadable(listener.descriptors[0], until: Deadline(afterMilliseconds: 60_000)),
                let client = try? listener.accept()
            else { return }
            let socket = AgentSocket(client)
            var request: [UInt8] = []
            while !request.suffix(1).elementsEqual(Array("}".utf8)),
                (try? socket.readSome(appendingTo: &request, maximumBytes: 4096, until: .never)) == true
            {}
            if let answer { try? socket.write(answer) }
            socket.abort()
        }
        thread.start()
        let record = MachineRecord(
            id: "abc", name: "web", specification: MachineSpecification(), createdSeconds: 0, socketPath: path)
        do { try MonitorControl(record, domain: LocalSockets()).pause() } catch { return error as FleetError }
        return nil
    }

    @Test func `a monitor that does it, refuses it, vanishes or talks nonsense is told from the others`() throws {
        #expect(try ask(Array("HTTP/1.1 204 \r\n\r\n".utf8)) == nil)
        let refusal = Array("HTTP/1.1 400 \r\nContent-Length: 23\r\n\r\n{\"fault_message\":\"no.\"}".utf8)
        #expect(try ask(refusal)?.message.contains("refused: no.") == true)
        for answer in [nil, Array("HTTP/1.1 2".utf8), Array("\r\n\r\n".utf8), [UInt8](repeating: 0, count: 200_000)] {
            #expect(try ask(answer)?.code == .notControlled)
        }
    }
}
