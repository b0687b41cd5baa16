public import LinuxCalls
import Synchronization

/// Where it is seen that somebody wants the end of what is being done.
public protocol EndRequests: Sendable {
    /// Can be read when there may be such a wish.
    var descriptor: Int32 { get }
    /// The signal that says so; nil when none does.
    func endingSignal() -> Int32?
}

extension SignalWatcher {
    /// What came before it is passed over.
    public func endingSignal() -> Int32? {
        while let signal = next() {
            if Self.asksForTheEnd(signal) { return signal }
        }
        return nil
    }
}

/// One such wish, for several threads: it stays.
public final class SharedEndRequest: EndRequests {
    private let event: SharedEvent
    private let signal = Atomic<Int32>(0)

    public init() throws(LinuxError) { event = try SharedEvent() }

    public var descriptor: Int32 { event.descriptor }

    /// The first one counts.
    public func make(_ signal: Int32) {
        _ = self.signal.compareExchange(expected: 0, desired: signal, ordering: .acquiringAndReleasing)
        event.signal()
    }

    public func endingSignal() -> Int32? {
        let signal = signal.load(ordering: .acquiring)
        return signal == 0 ? nil : signal
    }
}
