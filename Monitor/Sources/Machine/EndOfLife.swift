import LinuxCalls

/// The power button of a machine with ACPI; what the guest does about it is its own affair.
final class PowerButton: Sendable {
    /// Given to KVM as an irqfd.
    let event: EventFile

    init() throws(LinuxError) { event = try EventFile() }

    func press() { event.signal() }
}

/// The one place where a machine's end is decided: the first reason given is the one that counts. Any thread.
final class EndOfLife: @unchecked Sendable {
    private let lock = FutexLock()
    private var reached: MachineEnd?
    private let loop: EventLoop

    init(_ loop: EventLoop) { self.loop = loop }

    func reach(_ end: MachineEnd) {
        lock.withLock { if reached == nil { reached = end } }
        loop.stop()
    }

    var result: MachineEnd? { lock.withLock { reached } }
}
