public import AgentProtocol
public import LinuxCalls
import Netlink
import WireFormats

/// A route of the main table.
public struct Route: Equatable, Sendable {
    public var route: Interface.Route
    /// The index of the link that it leads over.
    public var link: UInt32
    /// Whether the kernel made it by itself, as for each address of a link (RTPROT_KERNEL).
    public var isFromKernel: Bool

    public init(_ route: Interface.Route, link: UInt32) {
        self.route = route
        self.link = link
        isFromKernel = false
    }

    /// Nil for what is no such route: of another table, to several gateways, or to nowhere.
    ///
    /// Layout: family, prefix length, source prefix length, type of service, table, protocol, scope and type (1 byte each), flags (4),
    /// attributes. Source: rtnetlink(7).
    init?(_ message: NetlinkMessage) throws(LinuxError) {
        let first = try message.number(at: 0)
        let second = try message.number(at: 4)
        // RTM_F_CLONED: remembered from another route.
        guard second & 0xff == 254, second >> 24 == 1, try message.number(at: 8) & 0x200 == 0 else { return nil }
        isFromKernel = second >> 8 & 0xff == 2
        let attributes = try message.attributes(after: 12)
        guard let link = try attributes.first(RouteAttribute.routeLink)?.number() else { return nil }
        self.link = link
        let any = [UInt8](repeating: 0, count: first & 0xff == UInt32(AddressFamily.ipv4) ? 4 : 16)
        let destination = try attributes.first(RouteAttribute.routeDestination).map { [UInt8]($0.value) } ?? any
        guard let destination = IPAddress(networkOrder: destination) else { return nil }
        let gateway = try attributes.first(RouteAttribute.routeGateway)
            .flatMap { IPAddress(networkOrder: [UInt8]($0.value)) }
        route = Interface.Route(to: destination, prefixLength: UInt8(truncatingIfNeeded: first >> 8), via: gateway)
    }
}

/// Where packets for an address are sent on to.
public struct RouteAnswer: Equatable, Sendable {
    /// The index of the link.
    public var link: UInt32
    /// Nil where whoever has the address is at the link itself.
    public var gateway: IPAddress?
    /// Whether the address is one of the computer's own.
    public var isOwn: Bool
}

extension Links {
    /// Where packets for an address are sent on to, by all tables.
    /// - Throws: ENETUNREACH and the like where they are not.
    public mutating func way(to destination: IPAddress) throws(LinuxError) -> RouteAnswer {
        let bytes = destination.bytes
        var request = NetlinkRequest(RouteMessage.getRoute)
        request.body.write(UInt32(AddressFamily.of(bytes)) | UInt32(bytes.count * 8) << 8)
        for _ in 0..<2 { request.body.write(UInt32(0)) }
        request.attribute(RouteAttribute.routeDestination, bytes)
        let answer = try session.get(request)
        let attributes = try answer.attributes(after: 12)
        guard let link = try attributes.first(RouteAttribute.routeLink)?.number() else { throw .protocolError }
        let gateway = try attributes.first(RouteAttribute.routeGateway)
            .flatMap { IPAddress(networkOrder: [UInt8]($0.value)) }
        // RTN_LOCAL
        return RouteAnswer(link: link, gateway: gateway, isOwn: try answer.number(at: 4) >> 24 == 2)
    }

    /// The routes of the main table, of IPv4 and IPv6.
    public mutating func routes() throws(LinuxError) -> [Route] {
        var request = NetlinkRequest(RouteMessage.getRoute)
        for _ in 0..<3 { request.body.write(UInt32(0)) }
        var routes: [Route] = []
        for message in try session.dump(request) {
            if let route = try Route(message) { routes.append(route) }
        }
        return routes
    }

    /// Adds a route over a link that is up.
    /// - Throws: ENETUNREACH when its gateway is not reached over the link.
    public mutating func add(_ route: Route) throws(LinuxError) {
        try session.perform(Self.request(RouteMessage.newRoute, .make, route))
    }

    /// Adds a route, in the place of one to the same destination.
    public mutating func replace(_ route: Route) throws(LinuxError) {
        try session.perform(Self.request(RouteMessage.newRoute, .put, route))
    }

    /// Takes a route away. One that is not there is no error.
    public mutating func remove(_ route: Route) throws(LinuxError) {
        do throws(LinuxError) { try session.perform(Self.request(RouteMessage.deleteRoute, [], route)) } catch {
            if error != .noProcess { throw error }
        }
    }

    /// Has the kernel take an address of this computer that comes in over a link for its own, which it does not with the loopback's of
    /// IPv6: that it takes from the loopback alone. One that is there already is no error; it goes with the link.
    public mutating func deliver(_ address: IPAddress, over link: UInt32, metric: UInt32) throws(LinuxError) {
        let request = NetlinkRequest.localRoute(
            RouteMessage.newRoute, .make, to: address.bytes, link: link, metric: metric)
        do throws(LinuxError) { try session.perform(request) } catch {
            if error != .exists { throw error }
        }
    }

    private static func request(_ type: UInt16, _ flags: NetlinkFlags, _ route: Route) -> NetlinkRequest {
        .route(
            type, flags, to: route.route.destination.bytes, prefixLength: route.route.prefixLength,
            via: route.route.gateway?.bytes, link: route.link)
    }
}
