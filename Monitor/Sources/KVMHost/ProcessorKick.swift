import LinuxCalls

/// A way for other threads to take a processor out of its guest.
///
/// The byte is set first, so the guest is not entered again; the signal then ends a run that is under way. `KVM_RUN`
/// answers EINTR in both cases. Source: KVM API §5, `immediate_exit`.
@safe public struct ProcessorKick: @unchecked Sendable {
    private let immediateExit: UnsafeMutableRawPointer

    init(immediateExit: UnsafeMutableRawPointer) { unsafe self.immediateExit = immediateExit }

    /// Asks the thread to leave the guest and stay out until `clear`.
    public func request(thread: Int32, signalNumber: Int32) {
        // SAFETY: one byte, which the kernel only reads.
        unsafe immediateExit.storeBytes(of: 1, as: UInt8.self)
        signalThread(thread, signalNumber)
    }

    /// Lets the guest be entered again.
    public func clear() {
        // SAFETY: as above.
        unsafe immediateExit.storeBytes(of: 0, as: UInt8.self)
    }
}
