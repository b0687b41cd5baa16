import AgentProtocol
import FabricProtocol
import LinuxCalls
import Wiring

/// To which hardware addresses there were packets sent for addresses whose machines are gone: their neighbours may know these for minutes.
struct FormerStations {
    /// What is more is forgotten: its neighbours find out by themselves.
    private static let most = 2 * FabricPlan.mostPorts

    private struct Place: Hashable {
        var network: String
        var address: IPAddress
    }

    private var stations: [Place: [UInt8]] = [:]

    mutating func note(_ port: FabricPort) {
        guard port.isMachine, let network = port.network else { return }
        if stations.count > Self.most { stations = [:] }
        for address in port.addresses {
            stations[Place(network: network, address: address)] = port.hardwareAddress
        }
    }

    /// The addresses of a port that another station had before; they are taken out.
    mutating func taken(by port: FabricPort) -> [IPAddress] {
        guard port.isMachine, let network = port.network else { return [] }
        return port.addresses.filter { address in
            let former = stations.removeValue(forKey: Place(network: network, address: address))
            return former.map { $0 != port.hardwareAddress } ?? false
        }
    }
}

extension Engine {
    /// A kernel that is busy has a device that was brought up take frames only a moment later. Source: RFC 5227 §1.1, `ANNOUNCE_INTERVAL`.
    private static let announcementNanoseconds: UInt64 = 2_000_000_000

    /// Tells a port's network whose those of its addresses are now that another machine had before, in the name of the new one: its guest, which
    /// does not run yet, need not do it. Who cannot be told asks again when nobody answers.
    func announce(_ port: FabricPort) {
        let taken = formerStations.taken(by: port)
        if taken.isEmpty { return }
        announce(taken, of: port)
        announcements.append((Clock.monotonic.nanoseconds() + Self.announcementNanoseconds, port, taken))
    }

    /// Says once more what is due. Nanoseconds until the next; nil: there is nothing more to be said.
    func announceAgain() -> UInt64? {
        let now = Clock.monotonic.nanoseconds()
        for (due, port, addresses) in announcements where due <= now && plan.port(port.number) == port {
            announce(addresses, of: port)
        }
        announcements.removeAll { $0.dueNanoseconds <= now }
        return announcements.map { $0.dueNanoseconds }.min().map { $0 - now }
    }

    private func announce(_ addresses: [IPAddress], of port: FabricPort) {
        guard let end = try? links.find(ByteString(port.wireEnd)) else { return }
        for address in addresses {
            try? frames.send(Announcement.frame(address, of: port.hardwareAddress), over: end.index)
        }
    }
}

/// What a station says to its neighbours when an address is its own from now on.
enum Announcement {
    /// An ARP announcement, or an unsolicited advertisement that overrides what was known. Source: RFC 5227 §3, RFC 4861 §4.4 and §7.2.6.
    /// - Parameter station: six bytes.
    static func frame(_ address: IPAddress, of station: [UInt8]) -> [UInt8] {
        if address.family == .v4 {
            return [UInt8](repeating: 0xff, count: 6) + station + [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1] + station
                + address.bytes + [UInt8](repeating: 0, count: 6) + address.bytes
        }
        let everybody: [UInt8] = [0xff, 0x02] + [UInt8](repeating: 0, count: 13) + [1]
        // With the flag that what was known is overridden, and the option of the sender's station.
        func message(_ sum: [UInt8]) -> [UInt8] {
            [136, 0] + sum + [0x20, 0, 0, 0] + address.bytes + [2, 1] + station
        }
        let length = UInt8(message([0, 0]).count)
        let sum = InternetChecksum.of(address.bytes + everybody + [0, 0, 0, length, 0, 0, 0, 58] + message([0, 0]))
        return [0x33, 0x33, 0, 0, 0, 1] + station + [0x86, 0xdd, 0x60, 0, 0, 0, 0, length, 58, 255] + address.bytes
            + everybody + message([UInt8(sum >> 8), UInt8(sum & 0xff)])
    }
}
