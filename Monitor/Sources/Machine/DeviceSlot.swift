import LinuxCalls
import Synchronization
import VirtioDevices

/// A place for a device that comes and goes while the guest runs.
///
/// While it is empty its window says that there is no device, which drivers leave alone, and it has neither events nor a thread.
/// It belongs to whoever controls the machine; processors look into it at any time.
/// Source: virtio 1.3 §4.2.2.2 (DeviceID 0x0: a placeholder).
final class DeviceSlot: @unchecked Sendable {
    /// What KVM is told of once, and every device of the place then uses.
    final class Lines: Sendable {
        /// As many as any device of a slot has.
        static let queues = 2
        let interrupt: InterruptLine
        let doorbells: [Doorbell]

        init() throws(LinuxError) {
            interrupt = try InterruptLine()
            var doorbells: [Doorbell] = []
            for _ in 0..<Self.queues { doorbells.append(try Doorbell()) }
            self.doorbells = doorbells
        }
    }

    /// The window's place among all, which decides the interrupt too.
    let index: Int
    /// Of whoever controls the machine.
    var lines: Lines?
    private let lock = FutexLock()
    /// Guarded by `lock`.
    private var present: PlatformDevice?
    private var isClosed = false
    /// Processors that are at work in the device's window.
    private let visitors = Atomic<UInt32>(0)

    init(index: Int) { self.index = index }

    var device: PlatformDevice? { lock.withLock { present } }

    /// - Returns: false when the machine is at its end.
    func put(_ device: PlatformDevice) -> Bool {
        lock.withLock {
            if isClosed { return false }
            present = device
            return true
        }
    }

    /// Empties the place; on return no processor is at the device any more. Its thread must still serve.
    func take() -> PlatformDevice? {
        let device = lock.withLock { present.take() }
        while true {
            let inside = visitors.load(ordering: .acquiring)
            if inside == 0 { return device }
            waitOnAddress(visitors, while: inside)
        }
    }

    /// No device comes any more.
    func close() { lock.withLock { isClosed = true } }

    // MARK: The guest's side

    func read(offset: UInt64, width: UInt32) -> UInt64 {
        guard let transport = enter() else { return VirtioMMIOTransport.readEmpty(offset: offset, width: width) }
        defer { leave() }
        return transport.read(offset: offset, width: width)
    }

    func write(offset: UInt64, width: UInt32, value: UInt64) {
        guard let transport = enter() else { return }
        defer { leave() }
        transport.write(offset: offset, width: width, value: value)
    }

    private func enter() -> VirtioMMIOTransport? {
        lock.withLock {
            guard let present else { return nil }
            visitors.add(1, ordering: .relaxed)
            return present.transport
        }
    }

    private func leave() {
        if visitors.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { wakeWaiters(visitors, count: 1) }
    }
}
