/// A reference that counts nothing, to an object that its holder also keeps alive in the ordinary way.
///
/// For paths that run at every exit of a guest: counting costs two atomic operations on a line that all processors share.
@safe public struct BorrowedReference<Object: AnyObject>: @unchecked Sendable {
    private let reference: Unmanaged<Object>

    /// The caller keeps `object` alive for as long as this value is used.
    public init(_ object: Object) {
        // SAFETY: the promise above.
        unsafe reference = .passUnretained(object)
    }

    /// Calls `body` with the object.
    @inline(__always)
    public func use<R>(_ body: (Object) -> R) -> R {
        // SAFETY: the promise above.
        unsafe reference._withUnsafeGuaranteedRef { object in body(object) }
    }
}
