/// Why guest memory could not be touched. Always the guest's fault or our caller's, never the host's.
public enum GuestMemoryError: Error, Equatable, Sendable {
    /// The range lies outside the guest's memory, wholly or in part, or wraps around.
    case outOfRange(GuestAddress, lengthBytes: UInt64)
    /// A value that must be read or written at once lies at an address that is not a multiple of its size.
    case misaligned(GuestAddress)
    /// The range needs more I/O vectors than there is room for.
    case tooManyVectors
}
