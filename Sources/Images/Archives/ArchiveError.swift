public import HostFiles

/// Why an archive could not be read. Everything but `host` is the archive's own fault.
public enum ArchiveError: Error, Equatable, Sendable {
    /// It ends in the middle of something.
    case truncated(at: UInt64)
    /// The bytes are no archive of a kind that is known here.
    case unknownFormat(String)
    /// A header of a tar whose sum does not match; `at` is where it begins.
    case wrongChecksum(at: UInt64)
    /// A field that cannot be understood, or has a value that nothing can have.
    case invalidField(String, at: UInt64)
    /// Something that exists but is not done here.
    case unsupported(String, at: UInt64)
    /// A bound of ours that would be passed.
    case overBound(String, at: UInt64)
    /// Compressed data that no compressor writes, or whose own checksum does not match.
    case damagedCompression(String)
    /// Content whose digest or length is not what was announced.
    case wrongDigest(expected: String, found: String)
    /// The host could not read the file.
    case host(HostFileError)
}

extension ArchiveError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .truncated(let offset): "the archive ends too early, at byte \(offset); it was cut off"
        case .unknownFormat(let what): what
        case .wrongChecksum(let offset): "the tar header at byte \(offset) has a wrong checksum; the archive is damaged"
        case .invalidField(let what, let offset): "the tar entry at byte \(offset) has an invalid \(what)"
        case .unsupported(let what, let offset): "the tar entry at byte \(offset) is \(what), which is not supported"
        case .overBound(let what, let offset): "at byte \(offset) of the archive: \(what)"
        case .damagedCompression(let what): "the compressed data is damaged: \(what)"
        case .wrongDigest(let expected, let found): "the content is not what was announced: \(found), not \(expected)"
        case .host(let error): error.description
        }
    }
}
