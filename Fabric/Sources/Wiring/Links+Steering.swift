public import AgentProtocol
public import LinuxCalls
import Netlink
import WireFormats

/// Packets that arrive at one link for one network and leave over a link of their own, whatever the main table says. Each way
/// has a table of routes with one route in it.
public struct Steering: Equatable, Sendable {
    /// The name of the link at which they arrive.
    public var arrival: ByteString
    public var destination: Interface.Address
    /// The index of the link that they leave over.
    public var link: UInt32
    /// The number of the table.
    public var table: UInt32

    public init(arrival: ByteString, destination: Interface.Address, link: UInt32, table: UInt32) {
        self.arrival = arrival
        self.destination = destination
        self.link = link
        self.table = table
    }

    /// Whoever is at the other side of the link; nobody is asked for its hardware address. Source: RFC 3927, RFC 4291 §2.5.6.
    fileprivate var gateway: [UInt8] {
        destination.address.family == .v4
            ? [169, 254, 83, 119] : [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53, 0x77]
    }
}

/// Source: rtnetlink(7), Linux `linux/fib_rules.h`, `linux/neighbour.h`.
extension Links {
    /// Before the main table's rule, behind that of the computer's own addresses.
    private static let priority: UInt32 = 21_335
    private static let (newNeighbour, newRule, deleteRule): (UInt16, UInt16, UInt16) = (28, 32, 33)

    /// Has what goes that way be sent to a station, from one packet to the next.
    public mutating func aim(_ steering: Steering, at station: [UInt8]) throws(LinuxError) {
        let family = AddressFamily.of(steering.gateway)
        var neighbour = NetlinkRequest(Self.newNeighbour, .put)
        neighbour.body.write(UInt32(family))
        neighbour.body.write(steering.link)
        // NUD_PERMANENT
        neighbour.body.write(UInt32(0x80))
        // NDA_DST, NDA_LLADDR
        neighbour.attribute(1, steering.gateway)
        neighbour.attribute(2, station)
        try session.perform(neighbour)
    }

    /// Makes the table of a way, over a link that is up, with nothing sent there yet. Whom it is sent to is said by `aim`.
    public mutating func prepare(_ steering: Steering) throws(LinuxError) {
        let family = AddressFamily.of(steering.gateway)
        // Of the table RT_TABLE_UNSPEC, as RTA_TABLE says it; RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST; RTNH_F_ONLINK: no route to
        // the gateway is asked for.
        var route = NetlinkRequest(RouteMessage.newRoute, .put)
        route.body.write(UInt32(family) | UInt32(steering.destination.prefixLength) << 8)
        route.body.write(UInt32(4) << 8 | UInt32(1) << 24)
        route.body.write(UInt32(4))
        route.attribute(RouteAttribute.routeDestination, steering.destination.address.bytes)
        route.attribute(RouteAttribute.routeGateway, steering.gateway)
        route.attribute(RouteAttribute.routeLink, steering.link)
        route.attribute(15, steering.table)
        try session.perform(route)
    }

    /// Sends packets that way, from one to the next. Once more is no error.
    public mutating func begin(_ steering: Steering) throws(LinuxError) {
        do throws(LinuxError) { try session.perform(Self.rule(Self.newRule, .make, steering)) } catch {
            if error != .exists { throw error }
        }
    }

    /// Sends packets where the main table says again. Once more is no error.
    public mutating func end(_ steering: Steering) throws(LinuxError) {
        do throws(LinuxError) { try session.perform(Self.rule(Self.deleteRule, [], steering)) } catch {
            if error != .noEntry { throw error }
        }
    }

    /// `struct fib_rule_hdr`: family, prefix lengths of destination and source, type of service, table, two that are not used, action (1 byte
    /// each), flags (4).
    private static func rule(_ type: UInt16, _ flags: NetlinkFlags, _ steering: Steering) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags)
        request.body.write(
            UInt32(AddressFamily.of(steering.gateway)) | UInt32(steering.destination.prefixLength) << 8)
        // FR_ACT_TO_TBL
        request.body.write(UInt32(1) << 24)
        request.body.write(UInt32(0))
        // FRA_DST, FRA_IIFNAME, FRA_PRIORITY, FRA_TABLE
        request.attribute(1, steering.destination.address.bytes)
        request.attribute(3, text: steering.arrival.bytes)
        request.attribute(6, priority)
        request.attribute(15, steering.table)
        return request
    }
}
