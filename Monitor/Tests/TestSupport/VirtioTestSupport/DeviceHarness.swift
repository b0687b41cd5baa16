public import GuestMemory
public import LinuxCalls
public import VirtioDevices
public import VirtioQueues

/// A device behind its transport, with a mock driver for each queue, all on the calling thread: events are served when
/// the test says so, which makes every run the same.
///
/// The device must have been made with `loop`, which the harness's thread serves.
public final class DeviceHarness {
    public let memory: GuestMemory
    public let transport: VirtioMMIOTransport
    public private(set) var drivers: [MockDriver] = []
    public var device: any VirtioDevice { transport.device }

    /// A loop that belongs to the calling thread.
    public static func makeLoop() throws(LinuxError) -> EventLoop {
        let loop = try EventLoop()
        loop.runOnce()
        return loop
    }

    public init(_ device: any VirtioDevice, memory: GuestMemory) throws(LinuxError) {
        self.memory = memory
        transport = try VirtioMMIOTransport(device: device, memory: memory)
    }

    public func read(_ offset: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: transport.read(offset: offset, width: 4))
    }

    public func write(_ offset: UInt64, _ value: UInt32) {
        transport.write(offset: offset, width: 4, value: UInt64(value))
    }

    public var status: UInt32 { read(0x70) }

    /// What the device offers, read through the registers.
    public var offeredFeatures: UInt64 {
        write(0x14, 0)
        let low = read(0x10)
        write(0x14, 1)
        return UInt64(low) | UInt64(read(0x10)) << 32
    }

    /// Accepts features and sets FEATURES_OK; returns whether the device agreed.
    @discardableResult
    public func negotiate(_ features: UInt64) -> Bool {
        write(0x70, 0)
        write(0x70, 1)
        write(0x70, 3)
        write(0x24, 0)
        write(0x20, UInt32(truncatingIfNeeded: features))
        write(0x24, 1)
        write(0x20, UInt32(truncatingIfNeeded: features >> 32))
        write(0x70, 0xb)
        return status & 8 != 0
    }

    /// Makes a queue ready where the layout says.
    public func setQueue(_ index: Int, _ layout: QueueLayout) {
        write(0x30, UInt32(index))
        write(0x38, UInt32(layout.size))
        let places: [(UInt64, GuestAddress)] = [
            (0x80, layout.descriptorTable), (0x90, layout.availableRing), (0xa0, layout.usedRing),
        ]
        for (offset, address) in places {
            write(offset, UInt32(truncatingIfNeeded: address.value))
            write(offset + 4, UInt32(truncatingIfNeeded: address.value >> 32))
        }
        write(0x44, 1)
    }

    /// The whole way to DRIVER_OK, each queue with a driver in its own part of memory.
    ///
    /// - Parameters:
    ///   - features: what to accept of what is offered; nil for all.
    ///   - queueSize: for all queues, bounded by each one's maximum; nil for the maximum.
    /// - Returns: whether the device is at work.
    @discardableResult
    public func start(features: UInt64? = nil, queueSize: UInt16? = nil) -> Bool {
        let accepted = (features ?? .max) & offeredFeatures | QueueFeatures.version1
        guard negotiate(accepted) else { return false }
        let maximums = device.maximumQueueSizes
        let share = (memory.totalBytes - 0x1000) / UInt64(max(maximums.count, 1)) / 4096 * 4096
        drivers = maximums.enumerated().map { index, maximum in
            let base = 0x1000 + UInt64(index) * share
            return MockDriver(
                memory: memory, base: base, end: base + share, size: min(queueSize ?? maximum, maximum),
                features: accepted)
        }
        for (index, driver) in drivers.enumerated() { setQueue(index, driver.layout) }
        write(0x70, 0xf)
        return status == 0xf
    }

    /// Notifies the device of a queue and serves its events, and those that follow from them.
    public func notify(_ queue: Int = 0) {
        write(0x50, UInt32(queue))
        serve()
    }

    /// Serves pending events without waiting.
    public func serve(rounds: Int = 4) { for _ in 0..<rounds { device.loop.runOnce() } }

    /// Serves events until the queue has given a chain back; nil when that takes longer than the timeout.
    public func awaitUsed(
        _ queue: Int = 0, timeoutMilliseconds: UInt64 = 5000
    ) -> (used: MockUsedChain, contents: [UInt8])? {
        let end = Clock.monotonic.nanoseconds() + timeoutMilliseconds * 1_000_000
        while true {
            if let result = drivers[queue].takeUsedWithContents() { return result }
            if Clock.monotonic.nanoseconds() > end { return nil }
            device.loop.runOnce(timeoutMilliseconds: 10)
        }
    }

    /// Whether an interrupt has been raised since the last call; its reasons are acknowledged.
    public func takeInterrupt() -> Bool {
        write(0x64, read(0x60))
        return transport.interrupt.event.drain() > 0
    }
}
