import Archives
import Glibc
import HostFiles
import LinuxCalls
import Synchronization
import Testing

@testable import Registry

/// Downloads that stall, wait for one another, are cancelled, or find no room.
@Suite struct TransferTests: BlobTransfers {
    @Test("a registry that stalls, or drips, is given up and asked again")
    func stall() async throws {
        let bytes = bytes
        let counter = Counter()
        let registry = try registry { request, connection in
            if counter.next() > 2 { return sendBlob(bytes, request, connection) }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count)\r\n\r\n")
            connection.send([bytes[0]])
            connection.waitForClose()
            return .close
        }
        let settings = quickSettings { $0.stallTimeout = .milliseconds(250) }
        #expect(try await download(settings, from: registry) == nil)
        #expect(counter.value >= 3)
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
            let next = sendBlob(bytes, request, connection)
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
        let registry = try registry { sendBlob(bytes, $0, $1) }
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
