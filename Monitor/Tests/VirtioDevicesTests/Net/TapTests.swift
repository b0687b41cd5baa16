import CLinux
import Glibc
import GuestMemory
import LinuxCalls
import Testing
import VirtioTestSupport

@testable import VirtioDevices

private let mayMakeInterfaces = geteuid() == 0 && (try? LinuxCalls.open("/dev/net/tun", .readWrite).release()) != nil

/// The network device on a real TAP interface, in a network namespace of a process of its own, so that nothing of the
/// machine's network is touched.
@Suite(
    .enabled(
        if: mayMakeInterfaces,
        "a network namespace and a TAP interface take root and /dev/net/tun; as a user: unshare --user --map-root-user swift test"
    )
)
struct TapTests {
    @Test func `frames cross a real interface both ways, their checksums left to whoever receives them`() async {
        await #expect(processExitsWith: .success) {
            // CLONE_NEWNET, for this thread alone.
            try #require(linux_system_call(Int(__NR_unshare), 0x4000_0000, 0, 0, 0, 0, 0) == 0)
            let tap = try TapGuest(name: "swt0", hostAddress: [10, 9, 8, 1])
            try #require(tap.isStarted)
            let socket = try HostSocket(port: 4000)

            // The host asks who has the guest's address before it sends, and then leaves the checksum to the guest.
            try socket.send([UInt8]("to the guest".utf8), to: [10, 9, 8, 2], port: 5000)
            let request = try #require(tap.awaitFrame { $0.type == EthernetFrame.arp })
            #expect(request.payload[24..<28] == [10, 9, 8, 2])
            tap.send(request.answered(by: tap.mac))
            let frame = try #require(tap.awaitFrame { $0.type == EthernetFrame.ipv4 })
            #expect(Array(frame.payload[28...]) == [UInt8]("to the guest".utf8))
            // VIRTIO_NET_HDR_F_NEEDS_CSUM, from byte 34 on, to be put 6 bytes further. Source: virtio 1.3 §5.1.6.
            #expect(frame.header[0] == 1 && Array(frame.header[6..<10]) == [34, 0, 6, 0])

            // What the guest sends without a checksum reaches a program of the host.
            tap.send(frame.answer(text: "to the host", source: tap.mac))
            #expect(try socket.receive() == [UInt8]("to the host".utf8))
            #expect(tap.device.metrics.droppedFrames.value == 0 && tap.device.metrics.malformedFrames.value == 0)
        }
    }

    @Test func `an interface that somebody else uses, and a name that is none, are refused with what to do`() async {
        await #expect(processExitsWith: .success) {
            try #require(linux_system_call(Int(__NR_unshare), 0x4000_0000, 0, 0, 0, 0, 0) == 0)
            let first = try TapInterface(name: "swt1")
            let busy = #expect(throws: NetError.self) { _ = try TapInterface(name: "swt1") }
            #expect(busy?.description.contains("another process uses it") == true)
            let loopback = #expect(throws: NetError.self) { _ = try TapInterface(name: "lo") }
            #expect(loopback?.description.contains("is no TAP interface") == true)
            extendLifetime(first)
        }
    }
}

/// A guest on a TAP interface whose other side has an address of the host.
private final class TapGuest {
    let device: NetDevice
    let mac: [UInt8] = [2, 3, 4, 5, 6, 7]
    let isStarted: Bool
    private let harness: DeviceHarness

    init(name: String, hostAddress: [UInt8]) throws {
        device = NetDevice(
            try TapInterface(name: name), mac: MACAddress(mac), mtu: nil, loop: try DeviceHarness.makeLoop())
        harness = try DeviceHarness(device, memory: try GuestMemory(totalBytes: 8 << 20))
        // Addresses and flags are set by requests of 40 bytes: the name, then a sockaddr or the flags.
        // Source: netdevice(7).
        let control = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(control) }
        let address: [UInt8] = [2, 0, 0, 0]
        let requests: [(UInt, [UInt8])] = [
            (0x8916, address + hostAddress), (0x891c, address + [255, 255, 255, 0]), (0x8914, [0x41, 0]),
        ]
        for (code, value) in requests {
            var request = [UInt8](repeating: 0, count: 40)
            request.replaceSubrange(0..<name.utf8.count, with: name.utf8)
            request.replaceSubrange(16..<16 + value.count, with: value)
            let result = unsafe request.withUnsafeMutableBytes { unsafe ioctl(control, code, $0.baseAddress!) }
            try #require(result == 0, "\(String(code, radix: 16))")
        }
        isStarted = harness.start()
        for _ in 0..<64 { harness.drivers[0].add([.writable(2048)]) }
        harness.notify(0)
    }

    /// The next frame from the host that is wanted; the kernel sends others too, about itself.
    func awaitFrame(_ isWanted: (EthernetFrame) -> Bool) -> EthernetFrame? {
        for _ in 0..<32 {
            guard let (used, contents) = harness.awaitUsed(0) else { return nil }
            let frame = EthernetFrame(Array(contents[..<Int(used.writtenBytes)]))
            if isWanted(frame) { return frame }
        }
        return nil
    }

    func send(_ frame: EthernetFrame) {
        harness.drivers[1].add([.readable(frame.bytes)])
        harness.notify(1)
    }
}

/// An Ethernet frame behind its virtio header of 12 bytes.
private struct EthernetFrame {
    static let arp = 0x0806
    static let ipv4 = 0x0800
    var bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var header: [UInt8] { Array(bytes[..<12]) }
    var type: Int { Int(bytes[24]) << 8 | Int(bytes[25]) }
    var payload: [UInt8] { Array(bytes[26...]) }

    /// The answer to a question for an address. Source: RFC 826.
    func answered(by mac: [UInt8]) -> EthernetFrame {
        let asked = payload
        let ethernet = Array(bytes[18..<24]) + mac + [8, 6]
        let body = asked[..<6] + [0, 2] + mac + asked[24..<28] + asked[8..<18]
        return EthernetFrame([UInt8](repeating: 0, count: 12) + ethernet + body)
    }

    /// A UDP packet back to where this one came from, its checksum left to the receiver: only the sum over the addresses,
    /// the protocol and the length stands in its place. Source: RFC 768, RFC 791.
    func answer(text: String, source mac: [UInt8]) -> EthernetFrame {
        let asked = payload
        let length = 8 + text.utf8.count
        let total = 20 + length
        var ip: [UInt8] = [0x45, 0, 0, UInt8(total), 0, 0, 0, 0, 64, 17, 0, 0] + asked[16..<20] + asked[12..<16]
        let ipSum = ~Self.sum(ip)
        ip[10] = UInt8(ipSum >> 8)
        ip[11] = UInt8(ipSum & 0xff)
        let pseudo = Self.sum(Array(ip[12..<20]) + [0, 17, 0, UInt8(length)])
        let udp = asked[22..<24] + asked[20..<22] + [0, UInt8(length), UInt8(pseudo >> 8), UInt8(pseudo & 0xff)]
        let header: [UInt8] = [1, 0, 0, 0, 0, 0, 34, 0, 6, 0, 0, 0]
        return EthernetFrame(header + Array(bytes[18..<24]) + mac + [8, 0] + ip + udp + text.utf8)
    }

    /// The sum of 16-bit words in ones' complement. Source: RFC 1071.
    private static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum = 0
        for index in stride(from: 0, to: bytes.count, by: 2) { sum += Int(bytes[index]) << 8 | Int(bytes[index + 1]) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return UInt16(sum)
    }
}

/// A UDP socket of the host.
private final class HostSocket {
    private let number: Int32

    init(port: UInt16) throws {
        number = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var address = Self.address([0, 0, 0, 0], port)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(number, $0, 16) }
        }
        try #require(result == 0)
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        unsafe setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(number) }

    private static func address(_ bytes: [UInt8], _ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
        return address
    }

    func send(_ bytes: [UInt8], to host: [UInt8], port: UInt16) throws {
        var address = Self.address(host, port)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(number, bytes, bytes.count, 0, $0, 16)
            }
        }
        try #require(result == bytes.count)
    }

    func receive() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 2048)
        let count = unsafe recv(number, &bytes, bytes.count, 0)
        try #require(count >= 0, "nothing came")
        return Array(bytes[..<count])
    }
}
