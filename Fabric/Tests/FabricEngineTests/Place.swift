import AgentProtocol
import ChildPrograms
import FabricProtocol
import LinuxCalls

@testable import FabricEngine

/// A network namespace that stands for a machine: its interface is one of a pair, whose other side has the name that the fabric gives
/// TAP devices. It goes with the test's process.
struct Place {
    private let name: String

    private init(named name: String, taps: [Int]) throws {
        self.name = name
        try run("/usr/sbin/ip", "netns", "add", name)
        for (place, tap) in taps.enumerated() {
            try run(
                "/usr/sbin/ip", "link", "add", "t\(tap)", "type", "veth", "peer", "name", "eth\(place)", "netns", name)
        }
    }

    init(_ number: Int, _ addresses: String...) throws {
        try self.init(named: "m\(number)", taps: [number])
        try shell("ip link set eth0 address 02:00:00:00:00:0\(number) up")
        for address in addresses {
            let (length, gateway) = address.contains(":") ? (64, "::1") : (24, ".1")
            let prefix = address.contains(":") ? address.prefix(address.count - 3) : address.prefix(address.count - 2)
            try shell(
                "ip address add \(address)/\(length) dev eth0 nodad; ip route add default via \(prefix)\(gateway)")
        }
    }

    /// An appliance that carries what comes in at one end out at the other.
    static func bridge(_ inside: Int, _ outside: Int, named name: String = "appliance") throws -> Place {
        let place = try Place(named: name, taps: [inside, outside])
        try place.shell(
            "ip link add br0 type bridge; ip link set br0 up; for i in 0 1; do ip link set eth$i up master br0; done")
        return place
    }

    /// An appliance that routes between 10.9.1.0/24 and fd00:9:1::/64 at its inside and 10.9.2.0/24 and fd00:9:2::/64 at its outside.
    /// - Parameter own: the third numbers of its own addresses: 169.254.N.2.
    static func router(
        _ inside: Int, _ outside: Int, named name: String = "router", own: [Int] = [83, 84]
    ) throws -> Place {
        let place = try Place(named: name, taps: [inside, outside])
        try place.shell("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
        for (number, end) in [(0, inside), (1, outside)] {
            let (own, hop) = ("169.254.\(own[number]).2/24", "169.254.\(83 + number).1")
            try place.shell(
                """
                echo 0 > /proc/sys/net/ipv6/conf/eth\(number)/accept_dad
                ip link set eth\(number) address 02:00:00:01:00:\(end) up
                ip address add \(own) dev eth\(number)
                ip route add 10.9.\(number + 1).0/24 via \(hop) dev eth\(number) onlink
                ip route add fd00:9:\(number + 1)::/64 via fe80::1 dev eth\(number)
                """)
        }
        return place
    }

    /// Takes it away, and its interfaces with it.
    func remove() { _ = succeeds("/usr/sbin/ip", "netns", "del", name) }

    @discardableResult
    func shell(_ command: String) throws -> String {
        try run("/usr/sbin/ip", "netns", "exec", name, "/bin/sh", "-ec", command)
    }

    func reaches(_ address: String) -> Bool {
        succeeds("/usr/sbin/ip", "netns", "exec", name, "/bin/ping", "-qc", "3", "-i", "0.1", "-W", "0.4", address)
    }

    /// The shortest that a ping and its answer took, in milliseconds; nil where none came back.
    func roundTrip(_ address: String) -> Double? {
        guard
            let said = try? shell("/bin/ping -qc 4 -i 0.1 -W 3 \(address)"),
            let times = said.split(separator: "\n").last(where: { $0.hasPrefix("rtt ") })
        else { return nil }
        return times.split(separator: " ")[3].split(separator: "/").first.flatMap { Double($0) }
    }

    /// Frames that have come from both sides.
    var received: Int {
        let lines = (try? shell("grep eth /proc/net/dev"))?.split(separator: "\n") ?? []
        return lines.reduce(0) { $0 + (Int($1.split { $0 == " " || $0 == ":" }[2]) ?? 0) }
    }

    /// A steady flow, beside the test: what it says in the end is in the file.
    func startPing(_ address: String, to file: String) throws {
        let output = try open(file, [.writeOnly, .create], mode: 0o600)
        _ = try Programs.start(
            ["/usr/sbin/ip", "netns", "exec", ByteString(name), "/bin/ping", "-qc", "1000", "-i", "0.002", "-W", "2"]
                + [ByteString(address)], output: output.number)
    }
}

extension Engine {
    /// Why not is shown.
    func put(_ change: FabricChange) throws {
        do throws(FabricFault) { try apply(change) } catch {
            FabricEngineTests.report("\(error)")
            throw error
        }
    }
}
