import Archives
import Glibc
import HostFiles
import ImageFixtures
import LinuxCalls
import Synchronization
import Testing

@testable import Registry

/// Blobs from registries that do what they should not.
@Suite struct DownloadTests {
    private let bytes = Self.long
    private static let long = content(900_000)
    private var path: String { "/v2/a/b/blobs/\(descriptor(bytes).digest)" }

    private func registry(
        _ handler: @escaping @Sendable (ServerRequest, ServerConnection) -> LoopbackServer.Next
    ) throws -> MisbehavingRegistry {
        try MisbehavingRegistry { request, connection in
            request.path.hasPrefix("/v2/a/b/blobs/") ? handler(request, connection) : nil
        }
    }

    private func download(
        _ settings: RegistrySettings = quickSettings(), from registry: borrowing MisbehavingRegistry,
        to sink: any BlobSink = BlobMemory(), of blob: Descriptor? = nil
    ) async throws -> RegistryError? {
        let reference = try registry.reference()
        do {
            try await client(settings).download(blob ?? descriptor(bytes), of: reference, to: sink)
            return nil
        } catch {
            return error
        }
    }

    /// Sends what was asked for, or the whole, and leaves out what is behind `most` bytes.
    @Sendable private static func send(
        _ bytes: [UInt8], _ request: ServerRequest, _ connection: ServerConnection, most: Int = .max
    ) -> LoopbackServer.Next {
        let start = request.headers["range"].flatMap { Int($0.dropFirst("bytes=".count).dropLast()) } ?? 0
        let rest = Array(bytes[start...])
        let status = start > 0 ? "206 Partial Content" : "200 OK"
        let range = start > 0 ? "Content-Range: bytes \(start)-\(bytes.count - 1)/\(bytes.count)\r\n" : ""
        connection.send("HTTP/1.1 \(status)\r\n\(range)Content-Length: \(rest.count)\r\n\r\n")
        connection.send(Array(rest.prefix(most)))
        return rest.count > most ? .close : .keep
    }

    @Test("a blob comes whole, with progress")
    func good() async throws {
        let bytes = bytes
        let registry = try registry { Self.send(bytes, $0, $1) }
        let sink = BlobMemory()
        let last = Mutex<UInt64>(0)
        try await client().download(descriptor(bytes), of: try registry.reference(), to: sink) { count in
            last.withLock { $0 = count }
        }
        #expect(same(sink.bytes, bytes))
        #expect(last.withLock { $0 } == UInt64(bytes.count))
    }

    @Test("a connection that breaks again and again is taken up where it broke")
    func resume() async throws {
        let bytes = bytes
        let counter = Counter()
        let registry = try registry { request, connection in
            Self.send(bytes, request, connection, most: counter.next() <= 3 ? 200_000 : .max)
        }
        let scratch = try ScratchFolder()
        let file = try BlobFile(HostPath(scratch.appending("blob")))
        #expect(try await download(from: registry, to: file) == nil)
        #expect(same(try readFile(scratch.appending("blob")), bytes))
        // What the connection held when it broke may be lost; nothing else is asked for twice.
        let starts = registry.server.requests("GET", path).map { request in
            request.headers["range"].flatMap { Int($0.dropFirst("bytes=".count).dropLast()) } ?? 0
        }
        #expect(starts.count == 4 && starts[0] == 0)
        for (before, after) in zip(starts, starts.dropFirst()) { #expect(after >= before && after <= before + 200_000) }
    }

    @Test("a file that is there already is continued; a wrong one comes again from its start")
    func continued() async throws {
        let bytes = bytes
        let registry = try registry { Self.send(bytes, $0, $1) }
        let scratch = try ScratchFolder()
        try scratch.write("right", Array(bytes[..<300_000]))
        try scratch.write("wrong", [UInt8](repeating: 7, count: 300_000))
        try scratch.write("long", bytes + [1])
        try scratch.write("whole", bytes)
        for name in ["right", "wrong", "long", "whole"] {
            let file = try BlobFile(HostPath(scratch.appending(name)))
            #expect(try await download(from: registry, to: file) == nil)
            #expect(same(try readFile(scratch.appending(name)), bytes))
        }
        let ranges = registry.server.requests("GET", path).map { $0.headers["range"] }
        #expect(ranges == ["bytes=300000-", "bytes=300000-", nil, nil])
    }

    @Test("a server that knows no ranges begins again, and one that refuses them is asked for the whole")
    func noRanges() async throws {
        let bytes = bytes
        let counter = Counter()
        let whole = try registry { request, connection in
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n")
            let isFirst = counter.next() == 1
            connection.send(isFirst ? Array(bytes[..<1000]) : bytes)
            return isFirst ? .close : .keep
        }
        let sink = BlobMemory()
        #expect(try await download(from: whole, to: sink) == nil)
        #expect(same(sink.bytes, bytes))

        let refusing = try registry { request, connection in
            if request.headers["range"] != nil {
                connection.answer(416)
                return .keep
            }
            return Self.send(bytes, request, connection)
        }
        let scratch = try ScratchFolder()
        try scratch.write("blob", Array(bytes[..<1000]))
        #expect(try await download(from: refusing, to: try BlobFile(HostPath(scratch.appending("blob")))) == nil)
    }

    @Test("wrong content is refused, and nothing of it is kept")
    func wrongContent() async throws {
        var other = bytes
        other[300_000] ^= 1
        let wrong = other
        let registry = try registry { Self.send(wrong, $0, $1) }
        let sink = BlobMemory()
        #expect(try await download(from: registry, to: sink)?.code == .wrongContent)
        #expect(sink.bytes.isEmpty)
        #expect(registry.server.requests("GET", path).count == 1)
    }

    @Test("more bytes than a blob has are refused, whether announced or not")
    func tooLong() async throws {
        let bytes = bytes
        let announced = try registry { Self.send(bytes + [1], $0, $1) }
        #expect(try await download(from: announced)?.code == .wrongContent)
        let unannounced = try registry { _, connection in
            connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            connection.send(bytes + [1])
            return .close
        }
        let sink = BlobMemory()
        #expect(try await download(from: unannounced, to: sink)?.code == .wrongContent)
        #expect(sink.bytes.isEmpty)
    }

    @Test("too few bytes are an error in the end, and what came stays for another time")
    func tooShort() async throws {
        let bytes = bytes
        let registry = try registry { request, connection in
            if request.headers["range"] != nil { return .close }
            connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            connection.send(Array(bytes[..<1000]))
            return .close
        }
        let sink = BlobMemory()
        let error = try await download(quickSettings { $0.attempts = 3 }, from: registry, to: sink)
        #expect(error?.code == .unreachable)
        #expect(sink.bytes.count == 1000)
        #expect(registry.server.requests("GET", path).count == 3)
    }

    @Test(
        "another part than the one that was asked for is refused",
        arguments: ["bytes 0-9/900000", "bytes 1000-899999/900001", "bytes 1000-999999999/*", "lines 1-2/3", ""])
    func wrongPart(range: String) async throws {
        let registry = try registry { _, connection in
            connection.answer(206, ["Content-Range": range], [1])
            return .keep
        }
        let scratch = try ScratchFolder()
        try scratch.write("blob", Array(bytes[..<1000]))
        let file = try BlobFile(HostPath(scratch.appending("blob")))
        #expect(try await download(from: registry, to: file)?.code == .wrongContent)
    }

    @Test("a registry that stalls, or drips, is given up and asked again")
    func stall() async throws {
        let bytes = bytes
        let counter = Counter()
        let registry = try registry { request, connection in
            if counter.next() > 2 { return Self.send(bytes, request, connection) }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n")
            connection.send([bytes[0]])
            connection.waitForClose()
            return .close
        }
        let settings = quickSettings { $0.stallTimeout = .milliseconds(100) }
        #expect(try await download(settings, from: registry) == nil)
        #expect(counter.value == 3)
        let always = try self.registry { _, connection in
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n")
            connection.waitForClose()
            return .close
        }
        let error = try await download(
            quickSettings {
                $0.stallTimeout = .milliseconds(100)
                $0.attempts = 2
            }, from: always)
        #expect(error?.code == .timedOut)
        #expect(error?.message.contains("stalls") == true)
    }

    @Test("no more blobs come at a time than the settings say")
    func parallel() async throws {
        let running = Atomic(0)
        let most = Mutex(0)
        let blobs = (0..<12).map { content(5_000, seed: UInt64($0)) }
        let registry = try MisbehavingRegistry { request, connection in
            guard let bytes = blobs.first(where: { request.path == "/v2/a/b/blobs/\(descriptor($0).digest)" }) else {
                return nil
            }
            let now = running.add(1, ordering: .relaxed).newValue
            most.withLock { $0 = max($0, now) }
            let next = Self.send(bytes, request, connection)
            running.subtract(1, ordering: .relaxed)
            return next
        }
        let client = client(quickSettings { $0.parallelTransfers = 3 })
        let reference = try registry.reference()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for bytes in blobs {
                group.addTask {
                    let sink = BlobMemory()
                    try await client.download(descriptor(bytes), of: reference, to: sink)
                    #expect(same(sink.bytes, bytes))
                }
            }
            try await group.waitForAll()
        }
        #expect(most.withLock { $0 } <= 3)
    }

    @Test("a download that is cancelled, running or waiting, ends at once")
    func cancelled() async throws {
        let started = AsyncStream<Void>.makeStream()
        let registry = try registry { _, connection in
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n1")
            started.continuation.yield()
            connection.waitForClose()
            return .close
        }
        let client = client(quickSettings { $0.parallelTransfers = 1 })
        let reference = try registry.reference()
        let blob = descriptor(bytes)
        let tasks = (0..<3).map { _ in
            Task { () -> RegistryError.Code? in
                do throws(RegistryError) {
                    try await client.download(blob, of: reference, to: BlobMemory())
                    return nil
                } catch {
                    return error.code
                }
            }
        }
        for await _ in started.stream { break }
        for task in tasks { task.cancel() }
        for task in tasks { #expect(await task.value == .cancelled) }
    }

    @Test("a full disk is told as such")
    func diskFull() async throws {
        let bytes = bytes
        let registry = try registry { Self.send(bytes, $0, $1) }
        let error = try await download(from: registry, to: FullDisk())
        #expect(error?.code == .diskFull)
    }

    private struct FullDisk: BlobSink {
        func begin() -> (sizeBytes: UInt64, hash: SHA256) { (0, SHA256()) }
        func append(_ bytes: Span<UInt8>) throws(HostFileError) {
            throw HostFileError("write", HostPath("/x"), LinuxError(ENOSPC))
        }
        func restart() {}
    }
}
