import LinuxCalls

/// Watches a descriptor whose other end is held by whoever wants the machine alive. When that closes, even by a crash,
/// the machine ends.
final class LifelineWatch: EventHandler {
    private let stop: () -> Void
    private var registration: EventRegistration?
    private let loop: EventLoop
    private let descriptor: Int32

    init(_ loop: EventLoop, _ descriptor: Int32, stop: @escaping () -> Void) throws(LinuxError) {
        self.loop = loop
        self.descriptor = descriptor
        self.stop = stop
        registration = try loop.add(descriptor, [.peerClosed], handler: self)
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        guard !readiness.intersection([.hangUp, .error, .peerClosed]).isEmpty else { return }
        if let registration { loop.remove(registration, descriptor) }
        registration = nil
        stop()
    }
}
