public import Archives
public import HostFiles
import NIOCore
import Synchronization

/// Content in a registry: what it is, its digest, its length.
///
/// Source: OCI image-spec, descriptor.md.
public struct Descriptor: Hashable, Sendable {
    public let mediaType: String
    public let digest: SHA256Digest
    public let sizeBytes: UInt64

    public init(mediaType: String = "application/octet-stream", digest: SHA256Digest, sizeBytes: UInt64) {
        self.mediaType = mediaType
        self.digest = digest
        self.sizeBytes = sizeBytes
    }
}

/// Where a downloaded blob goes. Calls come one after the other.
public protocol BlobSink: Sendable {
    /// Called first: what is there already from an earlier attempt, to be continued.
    func begin() throws(HostFileError) -> (sizeBytes: UInt64, hash: SHA256)
    func append(_ bytes: Span<UInt8>) throws(HostFileError)
    /// Everything so far is void; the blob comes again from its start.
    func restart() throws(HostFileError)
}

/// A blob on its way into a file. A file that is there already is continued.
///
/// The content is to be believed when `download` has returned, not before.
public final class BlobFile: BlobSink {
    private let file: HostFile
    private let position = Mutex<UInt64>(0)

    public init(_ path: HostPath) throws(HostFileError) {
        file = try HostFile(path, [.readWrite, .create])
    }

    public func begin() throws(HostFileError) -> (sizeBytes: UInt64, hash: SHA256) {
        var hash = SHA256()
        var offset: UInt64 = 0
        var piece = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = try file.read(piece.count, at: offset, into: &piece)
            if count == 0 { break }
            hash.update(piece, first: count)
            offset += UInt64(count)
        }
        position.withLock { $0 = offset }
        return (offset, hash)
    }

    public func append(_ bytes: Span<UInt8>) throws(HostFileError) {
        try file.write(bytes, at: position.withLock { $0 })
        position.withLock { $0 += UInt64(bytes.count) }
    }

    public func restart() throws(HostFileError) {
        try file.truncate(to: 0)
        position.withLock { $0 = 0 }
    }

    /// To be called before the file is renamed to the name by which it is believed.
    public func synchronize() throws(HostFileError) { try file.synchronize() }
}

/// A small blob in memory.
public final class BlobMemory: BlobSink {
    private let content = Mutex<[UInt8]>([])

    public init() {}

    public var bytes: [UInt8] { content.withLock { $0 } }

    public func begin() -> (sizeBytes: UInt64, hash: SHA256) {
        let bytes = bytes
        var hash = SHA256()
        hash.update(bytes)
        return (UInt64(bytes.count), hash)
    }

    public func append(_ bytes: Span<UInt8>) {
        // SAFETY: the pointer is used only inside the call.
        unsafe bytes.withUnsafeBufferPointer { bytes in
            content.withLock { unsafe $0.append(contentsOf: bytes) }
        }
    }

    public func restart() { content.withLock { $0 = [] } }
}

/// Where an uploaded blob comes from; every part may be asked for again.
public protocol BlobSource: Sendable {
    /// Fills the start of `buffer` with up to `count` bytes from `offset`; zero only behind the end.
    func read(_ count: Int, at offset: UInt64, into buffer: inout [UInt8]) throws(HostFileError) -> Int
}

/// A blob that is a file.
public struct BlobFileSource: BlobSource {
    private final class Opened: Sendable {
        let file: HostFile
        init(_ path: HostPath) throws(HostFileError) { file = try HostFile(path) }
    }
    private let opened: Opened

    public init(_ path: HostPath) throws(HostFileError) { opened = try Opened(path) }

    public func read(_ count: Int, at offset: UInt64, into buffer: inout [UInt8]) throws(HostFileError) -> Int {
        try opened.file.read(count, at: offset, into: &buffer)
    }
}

/// A blob in memory.
public struct BlobBytesSource: BlobSource {
    private let bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public func read(_ count: Int, at offset: UInt64, into buffer: inout [UInt8]) -> Int {
        guard offset < UInt64(bytes.count) else { return 0 }
        let count = min(count, buffer.count, bytes.count - Int(offset))
        buffer.replaceSubrange(..<count, with: bytes[Int(offset)..<(Int(offset) + count)])
        return count
    }
}
