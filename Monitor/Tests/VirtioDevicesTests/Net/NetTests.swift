import CLinux
import GuestMemory
import LinuxCalls
import Testing
import VirtioQueues
import VirtioTestSupport

@testable import VirtioDevices

/// A network device whose interface is a socket that keeps frames apart.
final class NetHarness {
    let device: NetDevice
    let harness: DeviceHarness
    /// The network's end.
    let wire: Int32

    init(features: UInt64 = .max, mtu: UInt16? = nil, memoryBytes: UInt64 = 8 << 20) throws {
        var numbers: (Int32, Int32) = (-1, -1)
        // AF_UNIX, SOCK_SEQPACKET.
        let result = unsafe withUnsafeMutablePointer(to: &numbers) { pointer in
            linux_system_call(
                Int(__NR_socketpair), 1, 5 | Int(O_NONBLOCK | O_CLOEXEC), 0, Int(bitPattern: pointer), 0, 0)
        }
        try #require(result == 0)
        wire = numbers.1
        device = NetDevice(
            TapInterface(packetSocket: FileDescriptor(owning: numbers.0)), mac: MACAddress([2, 3, 4, 5, 6, 7]),
            mtu: mtu,
            loop: try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: memoryBytes))
        #expect(harness.start(features: features))
        harness.drivers[0].wishInterrupt()
    }

    deinit { closeWire() }

    func closeWire() { _ = FileDescriptor(owning: wire) }

    static func frame(_ count: Int, seed: Int = 0) -> [UInt8] {
        Array(repeating: UInt8(0), count: 12) + (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ seed) }
    }

    func arrive(_ frame: [UInt8]) throws {
        let count = try unsafe frame.withUnsafeBytes { unsafe try write(wire, $0) }
        #expect(count == frame.count)
    }

    func leave() -> [UInt8]? {
        var bytes: [UInt8] = []
        guard let count = try? read(wire, appendingTo: &bytes, maximumBytes: 70_000), count > 0 else { return nil }
        return bytes
    }
}

@Suite struct NetTests {
    @Test func `it conforms`() throws {
        let conformance = DeviceConformance {
            let file = try memoryFile(name: "wire", lengthBytes: 0)
            return NetDevice(TapInterface(packetSocket: file), mtu: 1400, loop: try DeviceHarness.makeLoop())
        }
        #expect(try conformance.run() == [])
    }

    @Test(arguments: [0, .max] as [UInt64]) func `frames go both ways whole`(features: UInt64) throws {
        let net = try NetHarness(features: features)
        for _ in 0..<120 { net.harness.drivers[0].add([.writable(12), .writable(2000)]) }
        net.harness.notify(0)
        for index in 0..<20 { try net.arrive(NetHarness.frame(60 + index * 70, seed: index)) }
        net.harness.serve()
        for index in 0..<20 {
            let (used, contents) = try #require(net.harness.drivers[0].takeUsedWithContents())
            #expect(Int(used.writtenBytes) == 12 + 60 + index * 70)
            #expect(
                Array(contents[12..<Int(used.writtenBytes)])
                    == Array(NetHarness.frame(60 + index * 70, seed: index)[12...]))
            #expect(contents[10] == 1 && contents[11] == 0)
        }
        #expect(net.harness.takeInterrupt())
        for index in 0..<20 {
            let frame = NetHarness.frame(100 + index, seed: index)
            net.harness.drivers[1].add([.readable(Array(frame[..<12])), .readable(Array(frame[12...]))])
        }
        net.harness.notify(1)
        for index in 0..<20 {
            #expect(net.leave() == NetHarness.frame(100 + index, seed: index))
            #expect(net.harness.drivers[1].takeUsed() != nil)
        }
        #expect(net.device.metrics.sentFrames.value == 20 && net.device.metrics.receivedFrames.value == 20)
    }

    @Test func `a large frame fills several merged buffers, which say how many they are`() throws {
        let net = try NetHarness()
        for _ in 0..<128 { net.harness.drivers[0].add([.writable(1536)]) }
        net.harness.notify(0)
        for size in [64_000, 1524, 1525, 100, 65_000] {
            let frame = NetHarness.frame(size, seed: size)
            try net.arrive(frame)
            net.harness.serve()
            var got: [UInt8] = []
            var buffers = 0
            while let (used, contents) = net.harness.drivers[0].takeUsedWithContents() {
                if buffers == 0 { #expect(Int(contents[10]) == (frame.count + 1535) / 1536) }
                got += contents[..<Int(used.writtenBytes)]
                buffers += 1
                net.harness.drivers[0].add([.writable(1536)])
            }
            net.harness.notify(0)
            #expect(buffers == (frame.count + 1535) / 1536)
            #expect(got[12...] == frame[12...])
        }
    }

    @Test func `many frames of all sizes arrive in order`() throws {
        let net = try NetHarness()
        for _ in 0..<256 { net.harness.drivers[0].add([.writable(1536)]) }
        net.harness.notify(0)
        var random = SeededGenerator(seed: 7)
        var pending: [[UInt8]] = []
        for round in 0..<300 {
            let frame = NetHarness.frame(14 + Int(random.next() % (round % 10 == 0 ? 60_000 : 1500)), seed: round)
            try net.arrive(frame)
            pending.append(frame)
            net.harness.serve(rounds: 1)
            while let (used, contents) = net.harness.drivers[0].takeUsedWithContents() {
                var got = Array(contents[..<Int(used.writtenBytes)])
                for _ in 1..<max(Int(contents[10]), 1) {
                    let (more, rest) = try #require(net.harness.drivers[0].takeUsedWithContents())
                    got += rest[..<Int(more.writtenBytes)]
                    net.harness.drivers[0].add([.writable(1536)])
                }
                net.harness.drivers[0].add([.writable(1536)])
                let wanted = pending.removeFirst()
                #expect(got[12...] == wanted[12...])
            }
            net.harness.notify(0)
        }
        #expect(pending.isEmpty)
    }

    @Test func `frames wait while the guest has no buffers`() throws {
        let net = try NetHarness(features: 0)
        try net.arrive(NetHarness.frame(60))
        net.harness.serve()
        #expect(net.harness.drivers[0].takeUsed() == nil)
        net.harness.drivers[0].add([.writable(1600)])
        net.harness.notify(0)
        #expect(net.harness.drivers[0].takeUsed()?.writtenBytes == 72)
    }

    @Test func `a full interface is waited for and loses nothing`() throws {
        let net = try NetHarness()
        var sent = 0
        var received = 0
        for _ in 0..<50 {
            for _ in 0..<20 where net.harness.drivers[1].add([.readable(NetHarness.frame(1400, seed: sent))]) != nil {
                sent += 1
            }
            net.harness.notify(1)
            while net.harness.drivers[1].takeUsed() != nil {}
        }
        #expect(net.device.metrics.interfaceFull.value > 0)
        for _ in 0..<100 where received < sent {
            while let frame = net.leave() {
                #expect(frame == NetHarness.frame(1400, seed: received))
                received += 1
            }
            net.harness.serve()
        }
        #expect(received == sent)
    }

    @Test func `frames without content are counted and given back`() throws {
        let net = try NetHarness(features: 0)
        for count in [0, 1, 11, 12] { net.harness.drivers[1].add([.readable(Array(repeating: 0, count: count))]) }
        net.harness.notify(1)
        #expect(net.device.metrics.malformedFrames.value == 4)
        for _ in 0..<4 { #expect(net.harness.drivers[1].takeUsed() != nil) }
        #expect(net.harness.status == 0xf)
    }

    @Test func `an interface that is gone pulls the guest's cable`() throws {
        let net = try NetHarness()
        #expect(net.device.readConfiguration(offset: 6, width: 2) == 1)
        for _ in 0..<128 { net.harness.drivers[0].add([.writable(1536)]) }
        shutDownSocket(net.wire, 2)
        net.harness.notify(0)
        #expect(net.device.readConfiguration(offset: 6, width: 2) == 0)
        #expect(net.harness.read(0x60) & 2 != 0)
        #expect(net.device.metrics.linkLosses.value == 1)
    }

    @Test func `the configuration space shows address, link and MTU`() throws {
        let net = try NetHarness(mtu: 9000)
        #expect((0..<6).map { net.device.readConfiguration(offset: $0, width: 1) } == [2, 3, 4, 5, 6, 7])
        #expect(net.device.readConfiguration(offset: 10, width: 2) == 9000)
        #expect(net.device.offeredFeatures & NetFeature.mtu != 0)
        #expect(try NetHarness().device.offeredFeatures & NetFeature.mtu == 0)
    }

    @Test func `random addresses are local and single`() {
        for _ in 0..<50 { #expect(MACAddress.random().value & 3 == 2) }
        #expect(MACAddress.random() != MACAddress.random())
        #expect(MACAddress([1, 2, 3, 4, 5, 6]) == nil)
        #expect(MACAddress([2, 2]) == nil)
    }

    @Test func `what the guest cannot do is not asked of the interface`() {
        #expect(NetOffload.offloads(features: NetFeature.guestTCP4) == 0)
        #expect(NetOffload.offloads(features: .max) == 0x77)
        #expect(NetOffload.offloads(features: NetFeature.guestChecksum | NetFeature.guestTCP6) == 5)
    }

    @Test func `errors of interfaces say which and what to do`() throws {
        for name in ["", "sixteen-bytes-xx", "a/b", "a b"] {
            do throws(NetError) {
                _ = try TapInterface(name: name)
                Issue.record("\(name) is a name")
            } catch { #expect(error == .invalidName(name)) }
        }
        let file = try memoryFile(name: "no tap", lengthBytes: 0)
        do throws(NetError) {
            _ = try TapInterface(file)
            Issue.record("a file is a TAP")
        } catch { #expect(error.description.contains("is no TAP interface")) }
        #expect(NetError.attach(name: "tap7", LinuxError(EPERM)).description.contains("ip tuntap add dev tap7"))
    }

    @Test func `random rings and frames are contained`() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            var random = SeededGenerator(seed: seed)
            let net = try NetHarness(features: random.next(), memoryBytes: 2 << 20)
            for _ in 0..<200 {
                let size = Int(random.next() % 5000)
                switch random.next() % 5 {
                case 0: net.harness.drivers[0].add([.writable(size), .writable(size / 3)], indirect: false)
                case 1: net.harness.drivers[1].add([.readable(Array(repeating: 7, count: size))])
                case 2: _ = try? net.arrive(NetHarness.frame(size + 14))
                case 3:
                    let address = random.next() >> (random.next() % 64)
                    net.harness.drivers[Int(random.next() % 2)].add([
                        .raw(
                            address: address, lengthBytes: UInt32(truncatingIfNeeded: random.next()),
                            isDeviceWritable: random.next() % 2 == 0)
                    ])
                default:
                    net.harness.notify(Int(random.next() % 2))
                    while net.leave() != nil {}
                    if net.harness.status != 0xf { #expect(net.harness.start(), "seed \(seed)") }
                }
            }
            net.harness.write(0x70, 0)
            #expect(net.harness.status == 0, "seed \(seed)")
        }
    }
}
