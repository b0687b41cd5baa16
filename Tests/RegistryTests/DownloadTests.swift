import Archives
import HostFiles
import ImageFixtures
import Synchronization
import Testing

@testable import Registry

/// Blobs from registries that do what they should not.
@Suite struct DownloadTests: BlobTransfers {
    @Test("a blob comes whole, with progress")
    func good() async throws {
        let bytes = bytes
        let registry = try registry { sendBlob(bytes, $0, $1) }
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
            sendBlob(bytes, request, connection, most: counter.next() <= 3 ? 200_000 : .max)
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
        let registry = try registry { sendBlob(bytes, $0, $1) }
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
            return sendBlob(bytes, request, connection)
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
        let registry = try registry { sendBlob(wrong, $0, $1) }
        let sink = BlobMemory()
        #expect(try await download(from: registry, to: sink)?.code == .wrongContent)
        #expect(sink.bytes.isEmpty)
        #expect(registry.server.requests("GET", path).count == 1)
    }

    @Test("more bytes than a blob has are refused, whether announced or not")
    func tooLong() async throws {
        let bytes = bytes
        let announced = try registry { sendBlob(bytes + [1], $0, $1) }
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
}
