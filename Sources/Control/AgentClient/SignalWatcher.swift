import CLinux
public import LinuxCalls
import Synchronization

/// The signals that a command line passes on, as something to wait for.
///
/// Must be made before the process starts any thread: threads inherit the blocked signals.
public final class SignalWatcher: EndRequests {
    /// Asks the owner of a machine to end it at once. Real-time signals below this one belong to the C library.
    public static let endNow: Int32 = 36
    /// Asks the owner of a machine to give the program its stop signal, and not to run it again.
    public static let stop: Int32 = 37
    /// What reaches a program from outside, by its name.
    public static let passedOn: KeyValuePairs = [
        "HUP": SignalNumber.hangUp, "INT": SignalNumber.interrupt, "QUIT": SignalNumber.quit,
        "TERM": SignalNumber.terminate, "USR1": SignalNumber.user1, "USR2": 12,
    ]
    private static let watched = SignalSet(
        SignalNumber.hangUp, SignalNumber.interrupt, SignalNumber.quit, SignalNumber.terminate, SignalNumber.user1,
        12, SignalNumber.windowChange, endNow, stop)

    private let file: SignalFile
    /// 0: none has come.
    private let firstEndSignal = Atomic<Int32>(0)

    public init() throws(LinuxError) {
        try blockSignals(Self.watched)
        try ignoreSignal(SignalNumber.pipe)
        file = try SignalFile(Self.watched)
    }

    public var descriptor: Int32 { file.descriptor.number }

    /// Has this process's watcher see a signal.
    public static func tellOwnProcess(_ signal: Int32) {
        // SAFETY: no address is passed.
        guard let process = unsafe try? systemCall(__NR_getpid) else { return }
        // SAFETY: no address is passed.
        _ = unsafe try? systemCall(__NR_kill, process, Int(signal))
    }

    /// Whether a signal ends a copy, or a machine whose program does not run yet.
    public static func asksForTheEnd(_ signal: Int32) -> Bool {
        signal != SignalNumber.windowChange && signal != SignalNumber.user1
    }

    /// The next signal that came, or nil.
    public func next() -> Int32? {
        guard let signal = file.next() else { return nil }
        if Self.asksForTheEnd(signal) {
            _ = firstEndSignal.compareExchange(expected: 0, desired: signal, ordering: .relaxed)
        }
        return signal
    }

    /// The first that asked for the end, whoever has taken it; of those that wait, it is taken here.
    public func endSignal() -> Int32? {
        if firstEndSignal.load(ordering: .relaxed) == 0 { _ = endingSignal() }
        let signal = firstEndSignal.load(ordering: .relaxed)
        return signal == 0 ? nil : signal
    }
}
