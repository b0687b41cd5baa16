public import GuestMemory
public import VirtioDevices
import VirtioQueues

/// What every virtio device must do, whatever it is: run for each of them.
///
/// Each check works on a fresh device and says in words what it found wrong.
public final class DeviceConformance {
    public private(set) var violations: [String] = []
    let makeDevice: () throws -> any VirtioDevice
    private let makeMemory: () throws -> GuestMemory
    private var checkName = ""

    /// - Parameter makeDevice: a fresh device on a loop of the calling thread (`DeviceHarness.makeLoop`).
    public init(
        makeMemory: @escaping () throws -> GuestMemory = { try GuestMemory(totalBytes: 4 << 20) },
        makeDevice: @escaping () throws -> any VirtioDevice
    ) {
        self.makeMemory = makeMemory
        self.makeDevice = makeDevice
    }

    /// Runs all checks; returns what is wrong.
    public func run() throws -> [String] {
        try check("identity", identity)
        try check("status order", statusOrder)
        try check("feature negotiation", featureNegotiation)
        try check("features are fixed after FEATURES_OK", featuresAreFixed)
        try check("queue registers", queueRegisters)
        try check("queue sizes", queueSizes)
        try check("reset at each state", resetAtEachState)
        try check("activation twice", activationTwice)
        try check("queues that are not ready", queuesNotReady)
        try check("queues outside memory", queuesOutsideMemory)
        try check("a stopped queue", stoppedQueue)
        try check("configuration space", configurationSpace)
        try check("nonsense in the rings", nonsenseInRings)
        try check("a saved device goes on elsewhere", savedDevice)
        return violations
    }

    func expect(_ condition: Bool, _ words: @autoclosure () -> String) {
        if !condition { violations.append("\(checkName): \(words())") }
    }

    private func check(_ name: String, _ body: (DeviceHarness) throws -> Void) throws {
        checkName = name
        let harness = try DeviceHarness(try makeDevice(), memory: try makeMemory())
        try body(harness)
        harness.write(0x70, 0)
        expect(harness.status == 0, "the last reset does not end in status 0")
    }

    private func identity(_ harness: DeviceHarness) {
        expect(harness.read(0x00) == 0x7472_6976, "magic value")
        expect(harness.read(0x04) == 2, "version")
        expect(harness.read(0x08) == harness.device.kind.rawValue, "device number")
        expect(harness.status == 0, "status at start")
        expect(harness.read(0xb0) == .max && harness.read(0xb4) == .max, "a shared memory region is shown")
        expect(harness.read(0xc0) == 0, "queue reset is shown")
        for width in [1, 2, 8] as [UInt32] {
            expect(harness.transport.read(offset: 0, width: width) == 0, "magic value is read \(width) bytes wide")
        }
    }

    private func statusOrder(_ harness: DeviceHarness) {
        for wrong in [2, 4, 8, 0xc, 0x5, 0x9, 0xd, 7] as [UInt32] {
            harness.write(0x70, wrong)
            expect(harness.status == 0, "status \(wrong) is taken from 0")
        }
        harness.write(0x70, 1)
        harness.write(0x70, 3)
        harness.write(0x70, 2)
        expect(harness.status == 3, "a bit is taken away")
        harness.write(0x70, 7)
        expect(harness.status == 3, "DRIVER_OK without FEATURES_OK is taken")
        harness.write(0x70, 0x43)
        expect(harness.status == 3, "the driver sets DEVICE_NEEDS_RESET")
        harness.write(0x70, 0x83)
        expect(harness.status == 0x83, "FAILED is not taken")
        harness.transport.write(offset: 0x70, width: 1, value: 0)
        expect(harness.status == 0x83, "a narrow write resets")
    }

    private func featureNegotiation(_ harness: DeviceHarness) {
        let offered = harness.offeredFeatures
        expect(offered & QueueFeatures.version1 != 0, "VIRTIO_F_VERSION_1 is not offered")
        harness.write(0x14, 2)
        expect(harness.read(0x10) == 0, "there are features above 63")
        for bit in 0..<64 as Range<UInt64> where offered & 1 << bit == 0 {
            expect(!harness.negotiate(offered | 1 << bit), "feature \(bit), not offered, can be accepted")
        }
        expect(!harness.negotiate(offered & ~QueueFeatures.version1), "works without VIRTIO_F_VERSION_1")
        expect(harness.negotiate(QueueFeatures.version1), "does not work with VIRTIO_F_VERSION_1 alone")
        expect(harness.negotiate(offered), "does not take all that it offers")
    }

    private func featuresAreFixed(_ harness: DeviceHarness) {
        harness.negotiate(QueueFeatures.version1)
        harness.write(0x24, 0)
        harness.write(0x20, .max)
        harness.write(0x70, 0xf)
        expect(harness.status & 8 != 0, "features change after FEATURES_OK")
    }

    private func queueRegisters(_ harness: DeviceHarness) {
        for (index, maximum) in harness.device.maximumQueueSizes.enumerated() {
            harness.write(0x30, UInt32(index))
            expect(harness.read(0x34) == UInt32(maximum), "maximum size of queue \(index)")
            harness.write(0x44, 1)
            expect(harness.read(0x44) == 0, "queue \(index) is made ready before FEATURES_OK")
        }
        for index in [UInt32(harness.device.maximumQueueSizes.count), 0x1_0000, .max] {
            harness.write(0x30, index)
            expect(harness.read(0x34) == 0, "there is a queue \(index)")
            harness.write(0x44, 1)
            expect(harness.read(0x44) == 0, "queue \(index) can be ready")
        }
        harness.negotiate(QueueFeatures.version1)
        harness.write(0x30, 0)
        harness.write(0x44, 1)
        expect(harness.read(0x44) == 1, "a queue cannot be made ready")
        harness.write(0x44, 0)
        expect(harness.read(0x44) == 0, "a queue cannot be made unready again")
    }

    private func queueSizes(_ harness: DeviceHarness) {
        let maximum = harness.device.maximumQueueSizes.max() ?? 1
        for size in [1, 2, maximum] {
            expect(harness.start(queueSize: size), "queues of size \(size) do not work")
            harness.serve()
            expect(harness.status == 0xf, "empty queues of size \(size) are an error")
        }
        for size in [0, 3, UInt32(maximum) * 2, 0x1_0000, .max] as [UInt32] {
            guard harness.negotiate(QueueFeatures.version1) else { continue }
            for index in harness.device.maximumQueueSizes.indices {
                harness.setQueue(index, harness.drivers[index].layout)
                harness.write(0x44, 0)
                harness.write(0x38, size)
                harness.write(0x44, 1)
            }
            harness.write(0x70, 0xf)
            expect(harness.status & 0x40 != 0, "queues of size \(size) do not ask for a reset")
        }
    }

    private func resetAtEachState(_ harness: DeviceHarness) {
        for steps in 0...4 {
            for (step, value) in ([1, 3, 0xb, 0xf] as [UInt32]).enumerated() where step < steps {
                if value == 0xb {
                    harness.write(0x24, 1)
                    harness.write(0x20, 1)
                }
                harness.write(0x70, value)
            }
            harness.write(0x70, 0)
            expect(harness.status == 0, "reset after \(steps) steps")
            expect(harness.read(0x60) == 0, "interrupt reasons after a reset")
            harness.write(0x30, 0)
            expect(harness.read(0x44) == 0, "a queue is ready after a reset")
        }
        expect(harness.start(), "does not start after resets")
        harness.write(0x70, 0)
        harness.write(0x70, 0)
        harness.device.reset()
        for index in harness.device.maximumQueueSizes.indices { harness.notify(index) }
        expect(harness.status == 0 && harness.read(0x60) == 0, "a notification after a reset has an effect")
        expect(harness.start(), "does not start after two resets")
    }

    private func activationTwice(_ harness: DeviceHarness) {
        expect(harness.start(), "does not start")
        harness.write(0x70, 0xf)
        harness.write(0x70, 0x8f)
        expect(harness.status == 0x8f, "a second DRIVER_OK has an effect")
    }

    private func queuesNotReady(_ harness: DeviceHarness) {
        harness.negotiate(QueueFeatures.version1)
        harness.write(0x70, 0xf)
        expect(harness.status & 0xf == 0xf, "DRIVER_OK is not seen")
        for index in harness.device.maximumQueueSizes.indices { harness.notify(index) }
        harness.notify(harness.device.maximumQueueSizes.count)
        harness.write(0x50, .max)
    }

    private func queuesOutsideMemory(_ harness: DeviceHarness) {
        let places: [UInt64] = [harness.memory.totalBytes - 16, harness.memory.totalBytes, 1 << 40, .max - 0xfff]
        for place in places {
            for ring in 0..<3 {
                guard harness.start() else { continue }
                let layouts = harness.drivers.map(\.layout)
                harness.negotiate(QueueFeatures.version1)
                for (index, layout) in layouts.enumerated() {
                    var layout = layout
                    let address = GuestAddress(place)
                    switch ring {
                    case 0: layout.descriptorTable = address
                    case 1: layout.availableRing = address
                    default: layout.usedRing = address
                    }
                    harness.setQueue(index, layout)
                }
                harness.write(0x70, 0xf)
                expect(harness.status & 0x40 != 0, "ring \(ring) at \(place) does not ask for a reset")
                expect(harness.read(0x60) & 2 != 0, "no configuration interrupt says so")
            }
        }
    }

    private func stoppedQueue(_ harness: DeviceHarness) {
        guard harness.start() else { return }
        harness.write(0x30, 0)
        harness.write(0x44, 0)
        expect(harness.read(0x44) == 0, "a queue cannot be stopped")
        expect(harness.status & 0x40 != 0, "a stopped queue does not ask for a reset")
        harness.notify(0)
    }

    private func configurationSpace(_ harness: DeviceHarness) {
        // Any access sees the bytes that single-byte reads see.
        let bytes = (0..<0x100 as Range<UInt64>).map { harness.transport.read(offset: 0x100 + $0, width: 1) }
        expect(bytes.allSatisfy { $0 < 256 }, "a byte is wider than a byte")
        for width in [2, 4, 8] as [UInt64] {
            for offset in 0..<0x100 - width {
                let value = harness.transport.read(offset: 0x100 + offset, width: UInt32(width))
                let wanted = (0..<width).reduce(UInt64(0)) { $0 | bytes[Int(offset + $1)] << (8 * $1) }
                expect(value == wanted, "\(width) bytes at \(offset) read \(value), not \(wanted)")
            }
        }
        for offset in [0xfff, 0x1000, 0x1001, .max, .max - 3] as [UInt64] {
            for width in [0, 1, 2, 3, 4, 8, .max] as [UInt32] {
                expect(harness.transport.read(offset: offset, width: width) == 0, "something at \(offset)")
                harness.transport.write(offset: offset, width: width, value: .max)
            }
        }
        harness.negotiate(QueueFeatures.version1)
        for offset in 0..<0x100 as Range<UInt64> {
            harness.transport.write(offset: 0x100 + offset, width: 4, value: .max)
        }
    }

    private func nonsenseInRings(_ harness: DeviceHarness) {
        for queue in harness.device.maximumQueueSizes.indices {
            guard harness.start() else { return }
            harness.drivers[queue].setAvailableIndex(0x8000)
            harness.notify(queue)
            guard harness.start() else { return expect(false, "does not start after a broken ring") }
            harness.drivers[queue].setAvailable(entry: 0, head: .max)
            harness.drivers[queue].setAvailableIndex(1)
            harness.notify(queue)
            guard harness.start() else { return expect(false, "does not start after a head out of range") }
            harness.drivers[queue].add([.raw(address: .max - 1, lengthBytes: .max, isDeviceWritable: true)])
            harness.drivers[queue].add([.raw(address: .max - 1, lengthBytes: .max, isDeviceWritable: false)])
            harness.notify(queue)
        }
        expect(harness.start(), "does not start again")
    }
}
