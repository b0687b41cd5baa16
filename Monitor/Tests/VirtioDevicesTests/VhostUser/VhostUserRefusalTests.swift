import GuestMemory
import LinuxCalls
import Testing
import VirtioDevices
import VirtioQueues
import VirtioTestSupport

private typealias Script = ScriptedBackend

/// Backends that say what they should not: each ends the connection with its reason, none the machine.
@Suite struct VhostUserRefusalTests {
    static let greetings: [(String, [UInt8], VhostUserError)] = [
        ("nothing", [], .silent),
        ("a part of an answer", Array(Script.greeting().prefix(15)), .silent),
        ("another answer than was asked for", Script.message(2, [Script.leastFeatures]), .malformed),
        ("a question", Script.message(1, [Script.leastFeatures], flags: 1), .malformed),
        ("another version", Script.message(1, [Script.leastFeatures], flags: 6), .malformed),
        ("an answer that is too long", Script.message(1, [Script.leastFeatures, 0]), .malformed),
        ("an answer without end", [1, 0, 0, 0, 5, 0, 0, 0, 255, 255, 255, 255], .malformed),
        ("no protocol features", Script.message(1, [1 << 32]), .lacks(.protocolFeatures)),
        ("an old device", Script.message(1, [1 << 30]), .lacks(.version1)),
        ("no configuration", Script.greeting(protocolFeatures: 1 << 3), .lacks(.configuration)),
        ("an empty configuration", Script.greeting().dropLast(84) + Script.message(24, []), .malformed),
        ("another part of it", Script.greeting().dropLast(72) + [8] + [UInt8](repeating: 0, count: 71), .malformed),
    ]

    @Test(arguments: 0..<12) func `a backend is refused that says`(index: Int) throws {
        let (name, bytes, reason) = Self.greetings[index]
        let backend = try ScriptedBackend(saying: bytes)
        #expect(throws: reason, "\(name)") { try backend.connect() }
    }

    @Test func `a backend that hangs up is told from a silent one`() throws {
        let backend = try ScriptedBackend(saying: [1, 0, 0], andCloses: true)
        #expect(throws: VhostUserError.closed) { try backend.connect() }
        #expect(throws: VhostUserError.unreachable(LinuxError(2))) { try VhostUserConnection(path: "/nowhere/socket") }
    }

    /// A device of a backend that has said so much, with a driver that is ready.
    private func start(
        _ bytes: [UInt8], andCloses: Bool = false
    ) throws -> (harness: DeviceHarness, device: VhostUserBlockDevice, isAtWork: Bool, backend: ScriptedBackend) {
        let backend = try ScriptedBackend(saying: bytes, andCloses: andCloses)
        let device = try VhostUserBlockDevice(
            backend.connect(), isWriteback: true, loop: try DeviceHarness.makeLoop())
        let harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 1 << 20))
        let isAtWork = harness.start()
        return (harness, device, isAtWork, backend)
    }

    /// What a backend says to a driver that is ready: eight requests done.
    private static func done(_ count: Int = 8) -> [UInt8] {
        [2, 5, 8, 10, 9, 13, 12, 18].prefix(count).flatMap { Script.message($0, [0]) }
    }

    @Test func `the driver sees what the backend offers and this side can do`() throws {
        let all = UInt64.max & ~(1 << 5)
        let (harness, device, isAtWork, backend) = try start(Script.greeting(features: all) + Self.done())
        defer { withExtendedLifetime(backend) {} }
        // SIZE_MAX, SEG_MAX, BLK_SIZE, FLUSH, TOPOLOGY, DISCARD, WRITE_ZEROES; indirect descriptors, event index, version 1.
        let bits: [UInt64] = [1, 2, 6, 9, 10, 13, 14, 28, 29, 32]
        #expect(harness.offeredFeatures == bits.reduce(0) { $0 | 1 << $1 })
        #expect(isAtWork && harness.read(0x100) == 0x1122_3344 && harness.read(0x13c) == 0)
        #expect(device.metrics.losses.value == 0)
    }

    @Test func `flushes are offered only where they are asked for, and writes where the backend takes them`() throws {
        let features = Script.leastFeatures | 1 << 9 | 1 << 5
        for isWriteback in [true, false] {
            let backend = try ScriptedBackend(saying: Script.greeting(features: features))
            let connection = try backend.connect()
            #expect(connection.isReadOnly)
            let device = try VhostUserBlockDevice(
                connection, isWriteback: isWriteback, loop: try DeviceHarness.makeLoop())
            #expect(device.offeredFeatures == (isWriteback ? 0x220 : 0x20))
        }
    }

    @Test func `a backend learns nothing of where memory lies in this process`() throws {
        let (harness, _, isAtWork, backend) = try start(Script.greeting() + Self.done())
        #expect(isAtWork)
        let heard = backend.heard()
        let biased = UInt64(1 << 40)
        // The memory table: a region, the guest's address, its length, where it is said to lie, the file's offset.
        let table = Script.message(5, [1, 0, 1 << 20, biased, 0], flags: 9)
        let layout = harness.drivers[0].layout
        let rings = Script.message(
            9,
            [
                0, layout.descriptorTable.value + biased, layout.usedRing.value + biased,
                layout.availableRing.value + biased, 0,
            ], flags: 9)
        for message in [table, rings] {
            #expect((0...heard.count - message.count).contains { heard[$0...].starts(with: message) })
        }
    }

    @Test(arguments: 0..<8) func `a backend that refuses, or falls silent, is given up`(count: Int) throws {
        for (next, andCloses) in [([], false), (Script.message(2, [1]), true), ([9, 9], true)] {
            let bytes = Script.greeting() + Self.done(count) + next
            let (harness, device, isAtWork, backend) = try start(bytes, andCloses: andCloses)
            defer { withExtendedLifetime(backend) {} }
            #expect(!isAtWork && harness.status & 64 != 0)
            #expect(device.metrics.failedActivations.value == 1 && device.metrics.losses.value == 1)
            // It does not come back.
            #expect(!harness.start())
            #expect(throws: VhostUserError.self) { try device.refresh() }
        }
    }

    @Test func `one that does not acknowledge is asked whether it is still there`() throws {
        let quiet = Script.greeting(protocolFeatures: 1 << 9)
        #expect(try start(quiet + Script.message(1, [0])).isAtWork)
        #expect(try !start(quiet).isAtWork)
    }

    @Test func `what comes unasked, and the end of the connection, end the drive and not the machine`() throws {
        for andCloses in [true, false] {
            let bytes = Script.greeting() + Self.done() + (andCloses ? [] : [0])
            let (harness, device, isAtWork, backend) = try start(bytes, andCloses: andCloses)
            defer { withExtendedLifetime(backend) {} }
            var reason: VhostUserError?
            device.whenBackendIsLost = { reason = $0 }
            #expect(isAtWork)
            harness.serve()
            #expect(reason == (andCloses ? .closed : .malformed) && harness.status & 64 != 0)
            harness.write(0x70, 0)
            #expect(harness.status == 0)
        }
    }

    @Test func `a queue outside memory is not handed on`() throws {
        let backend = try ScriptedBackend(saying: Script.greeting())
        let device = try VhostUserBlockDevice(
            backend.connect(), isWriteback: false, loop: try DeviceHarness.makeLoop())
        let harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 1 << 20))
        _ = backend.heard()
        #expect(harness.negotiate(harness.offeredFeatures))
        harness.setQueue(
            0,
            QueueLayout(
                size: 16, descriptorTable: GuestAddress(0x1000), availableRing: GuestAddress(0x2000),
                usedRing: GuestAddress(1 << 20)))
        harness.write(0x70, 0xf)
        #expect(harness.status & 64 != 0 && backend.heard().isEmpty && device.metrics.losses.value == 0)
    }

    @Test func `a configuration that is read anew is told to the driver`() throws {
        let bytes = Script.greeting() + Self.done() + Script.configuration(sectors: 77)
        let (harness, device, isAtWork, backend) = try start(bytes)
        defer { withExtendedLifetime(backend) {} }
        #expect(isAtWork)
        let before = harness.read(0xfc)
        try device.refresh()
        #expect(harness.read(0x100) == 77 && harness.read(0xfc) == before + 1 && harness.read(0x60) & 2 != 0)
    }
}
