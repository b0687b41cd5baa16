import LinuxCalls

/// Turns signals from outside into calls on the machine's thread: TERM, INT and HUP end the machine, PWR presses its power
/// button.
final class SignalWatch: EventHandler {
    /// Blocked in every thread, so that they arrive here only.
    private static let handled = SignalSet(
        SignalNumber.terminate, SignalNumber.interrupt, SignalNumber.hangUp, SignalNumber.power)

    private let file: SignalFile
    private let stop: () -> Void
    private let press: () -> Void

    /// Call it before any thread is started: they inherit which signals are blocked.
    static func prepare() throws(LinuxError) {
        try blockSignals(handled)
        try letSignalInterrupt(SignalNumber.user1)
        // Whoever started this process may have had it blocked, and then no processor could be called out of its guest.
        try unblockSignals(SignalSet(SignalNumber.user1))
        try ignoreSignal(SignalNumber.pipe)
        // What a guest writes to a disk that may not grow is an error of the disk.
        try ignoreSignal(SignalNumber.fileSizeLimit)
    }

    init(_ loop: EventLoop, stop: @escaping () -> Void, press: @escaping () -> Void) throws(LinuxError) {
        file = try SignalFile(Self.handled)
        self.stop = stop
        self.press = press
        _ = try loop.add(file.descriptor.number, .readable, handler: self)
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        while let number = file.next() {
            if number == SignalNumber.power { press() } else { stop() }
        }
    }
}
