public import HostFiles

/// Takes bytes in order: a file, a compressor.
public protocol ByteSink: AnyObject {
    func write(_ bytes: Span<UInt8>) throws(HostFileError)
}

/// A file, written at its own position, so that it may be a pipe.
public final class FileByteSink: ByteSink {
    public let file: HostFile

    public init(_ file: consuming HostFile) { self.file = file }

    public func write(_ bytes: Span<UInt8>) throws(HostFileError) { try file.write(bytes) }
}

extension ByteSource {
    /// Hands everything on that comes.
    public func copy(to sink: any ByteSink) throws(ArchiveError) {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = try read(into: &buffer)
            if count == 0 { return }
            do { try sink.write(buffer.span.extracting(first: count)) } catch { throw .host(error) }
        }
    }
}
