import AgentProtocol
import CLinux
import Glibc
import LinuxCalls

@testable import Wiring

/// Whether this process may make network namespaces, and TAP devices in them.
let mayMakeNamespaces = unsafe geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0

/// Why tests are skipped where it may not.
let namespacesTakeRoot =
    "network namespaces and TAP devices take root and /dev/net/tun; as a user: unshare --user --map-root-user swift test"

/// A network namespace that goes with the process. Whoever makes one is in it afterwards.
final class TestNamespace {
    let descriptor: FileDescriptor

    init() throws(LinuxError) {
        // CLONE_NEWNET, for this thread alone.
        try check(linux_system_call(Int(__NR_unshare), 0x4000_0000, 0, 0, 0, 0, 0))
        descriptor = try LinuxCalls.open("/proc/thread-self/ns/net", .readOnly)
    }

    /// Has the thread in it for as long as `body` runs, and in the one that it was in afterwards.
    func within<Result: ~Copyable>(_ body: () throws -> Result) throws -> Result {
        let before = try LinuxCalls.open("/proc/thread-self/ns/net", .readOnly)
        try enter()
        defer { _ = linux_system_call(Int(__NR_setns), Int(before.number), 0, 0, 0, 0, 0) }
        return try body()
    }

    func enter() throws(LinuxError) {
        try check(linux_system_call(Int(__NR_setns), Int(descriptor.number), 0, 0, 0, 0, 0))
    }
}

func check(_ result: Int) throws(LinuxError) {
    if result < 0 { throw LinuxError(Int32(-result)) }
}

/// Two links of a fabric, `tN` and `pN`, that are joined by two wires: what a machine's interface is, but that a pair of links takes the
/// place of the TAP. The machine is a namespace of its own, where the interface is `eth0` with an address of 10.9.0.0/16.
struct TestMachine {
    let namespace: TestNamespace
    let tap: UInt32
    let port: UInt32

    /// In the fabric's namespace, whose bridge `br0` it is put on.
    init(_ number: UInt8, in fabric: TestNamespace) throws {
        namespace = try TestNamespace()
        try silenceIPv6()
        try fabric.enter()
        var links = try Links()
        let name = ByteString(number)
        tap = try links.makePair("t" + name, peer: "eth0", peerNamespace: namespace.descriptor.number)
        port = try links.makePair("p" + name, peer: "q" + name)
        let bridge = try links.find("br0")
        let inner = try links.find("q" + name)
        try links.set(inner?.index ?? 0, isUp: true, master: bridge?.index)
        var wires = try Wires()
        for link in [tap, port] { try wires.prepare(link) }
        try wires.connect([Wire(from: tap, to: port), Wire(from: port, to: tap)])
        try namespace.within {
            var links = try Links()
            let interface = try links.find("eth0")?.index ?? 0
            try links.set(interface, isUp: true)
            try links.add(Interface.Address(IPAddress(v4: 10, 9, 0, number), prefixLength: 16), to: interface)
        }
    }
}

/// An appliance with two interfaces, whose other ends a namespace of its own has on a bridge.
struct TestAppliance {
    let namespace: TestNamespace
    let inside: UInt32
    let outside: UInt32

    init(in fabric: TestNamespace) throws {
        namespace = try TestNamespace()
        try silenceIPv6()
        try fabric.enter()
        var links = try Links()
        var wires = try Wires()
        inside = try links.makePair("ai", peer: "eth0", peerNamespace: namespace.descriptor.number)
        outside = try links.makePair("ao", peer: "eth1", peerNamespace: namespace.descriptor.number)
        for link in [inside, outside] { try wires.prepare(link) }
        try namespace.within {
            var links = try Links()
            let bridge = try links.makeBridge("br0")
            for name in ["eth0", "eth1"] as [ByteString] {
                try links.set(try links.find(name)?.index ?? 0, isUp: true, master: bridge)
            }
            try links.set(bridge, isUp: true)
        }
    }
}

/// A UDP socket of the namespace that the thread is in when it is made.
final class TestSocket: Sendable {
    let descriptor: FileDescriptor

    init(port: UInt16) throws {
        descriptor = FileDescriptor(owning: socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0))
        var size = Int32(4 << 20)
        // SO_RCVBUFFORCE: nothing is to be lost here.
        unsafe setsockopt(descriptor.number, SOL_SOCKET, 33, &size, 4)
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        unsafe setsockopt(descriptor.number, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var own = Self.address([0, 0, 0, 0], port)
        let result = unsafe withUnsafeBytes(of: &own) { bytes in
            unsafe bind(descriptor.number, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), 16)
        }
        if result != 0 { throw LinuxError(errno) }
    }

    /// Says whether the kernel took it.
    @discardableResult
    func send(_ bytes: [UInt8], to address: [UInt8], port: UInt16) -> Bool {
        var other = Self.address(address, port)
        return unsafe withUnsafeBytes(of: &other) { other in
            unsafe sendto(
                descriptor.number, bytes, bytes.count, 0, other.baseAddress!.assumingMemoryBound(to: sockaddr.self), 16)
        } == bytes.count
    }

    /// The next datagram; nil when none comes within two seconds, or within no time at all.
    func receive(waits: Bool = true) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 2048)
        let count = unsafe recv(descriptor.number, &bytes, bytes.count, waits ? 0 : Int32(MSG_DONTWAIT))
        return count < 0 ? nil : Array(bytes[..<count])
    }

    /// Sends until something arrives: links that are new take their time to have a carrier, and machines to ask for addresses.
    /// Nothing is on its way afterwards.
    func reach(_ other: TestSocket, at address: [UInt8], port: UInt16) throws {
        for _ in 0..<250 {
            send([0], to: address, port: port)
            pause(milliseconds: 20)
            guard other.receive(waits: false) != nil else { continue }
            pause(milliseconds: 50)
            while other.receive(waits: false) != nil {}
            return
        }
        throw LinuxError.timedOut
    }

    private static func address(_ address: [UInt8], _ port: UInt16) -> linux_ipv4_address {
        linux_ipv4_address(
            family: 2, port: (UInt8(port >> 8), UInt8(truncatingIfNeeded: port)),
            address: (address[0], address[1], address[2], address[3]), zero: (0, 0, 0, 0, 0, 0, 0, 0))
    }
}

/// Waits until links that are up take what is sent.
func awaitCarrier(of names: [ByteString]) throws {
    var links = try Links()
    for name in names {
        var tries = 0
        while try links.find(name)?.hasCarrier != true {
            tries += 1
            if tries == 500 { throw LinuxError.timedOut }
            pause(milliseconds: 10)
        }
    }
}

/// Has links of the thread's namespace that are made from now on say nothing by themselves.
func silenceIPv6() throws(LinuxError) {
    let file = try LinuxCalls.open("/proc/sys/net/ipv6/conf/default/disable_ipv6", .writeOnly)
    try writeAll(file.number, "1")
}

/// What a file of the kernel says.
func contents(_ path: String) throws -> String {
    let file = try LinuxCalls.open(path, .readOnly)
    var bytes: [UInt8] = []
    _ = try LinuxCalls.read(file.number, appendingTo: &bytes, maximumBytes: 4096)
    return String(decoding: bytes, as: UTF8.self)
}

func pause(milliseconds: UInt32) { usleep(milliseconds * 1000) }

/// How many frames a link of the thread's namespace has received.
func received(_ link: String) throws -> Int { try column(1, link) }

/// How many frames it has sent.
func sent(_ link: String) throws -> Int { try column(9, link) }

/// A column of the kernel's table, which is that of the thread's namespace; `/sys` is that of whoever mounted it.
private func column(_ column: Int, _ link: String) throws -> Int {
    for line in try contents("/proc/thread-self/net/dev").split(separator: "\n") {
        let parts = line.split(separator: ":")
        guard parts.count == 2, parts[0].filter({ $0 != " " }) == link else { continue }
        return Int(parts[1].split(separator: " ")[column]) ?? -1
    }
    throw LinuxError.noDevice
}

/// Has `/sys` show the thread's network namespace, to this process alone.
func showOwnLinks() throws {
    // CLONE_NEWNS; MS_REC, MS_PRIVATE
    try check(linux_system_call(Int(__NR_unshare), 0x0002_0000, 0, 0, 0, 0, 0))
    guard unsafe mount("none", "/", nil, 0x4000 | 0x40000, nil) == 0,
        unsafe mount("none", "/sys", "sysfs", 0, nil) == 0
    else { throw LinuxError(errno) }
}
