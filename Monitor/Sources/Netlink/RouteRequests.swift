import WireFormats

/// The types of the messages that links, addresses and routes, and the traffic control of links, are changed and listed with.
/// Source: rtnetlink(7), Linux `linux/rtnetlink.h`.
public enum RouteMessage {
    public static let newLink: UInt16 = 16
    public static let deleteLink: UInt16 = 17
    public static let getLink: UInt16 = 18
    public static let setLink: UInt16 = 19
    public static let newAddress: UInt16 = 20
    public static let deleteAddress: UInt16 = 21
    public static let getAddress: UInt16 = 22
    public static let newRoute: UInt16 = 24
    public static let deleteRoute: UInt16 = 25
    public static let getRoute: UInt16 = 26
    public static let newQueueing: UInt16 = 36
    public static let deleteQueueing: UInt16 = 37
    public static let newFilter: UInt16 = 44
    public static let deleteFilter: UInt16 = 45
    public static let getFilter: UInt16 = 46
}

/// The attributes of links (IFLA), addresses (IFA) and routes (RTA) that are used here.
public enum RouteAttribute {
    public static let linkAddress: UInt16 = 1
    public static let linkName: UInt16 = 3
    public static let linkMaximumTransmissionUnit: UInt16 = 4
    public static let linkPeer: UInt16 = 5
    public static let linkMaster: UInt16 = 10
    public static let linkOperationalState: UInt16 = 16
    public static let linkInformation: UInt16 = 18
    public static let informationKind: UInt16 = 1
    public static let informationData: UInt16 = 2
    public static let addressPeer: UInt16 = 1
    public static let addressLocal: UInt16 = 2
    public static let routeDestination: UInt16 = 1
    public static let routeLink: UInt16 = 4
    public static let routeGateway: UInt16 = 5
    public static let routePriority: UInt16 = 6
}

/// The families that messages are about. Source: Linux `linux/socket.h`.
public enum AddressFamily {
    public static let unspecified: UInt8 = 0
    public static let ipv4: UInt8 = 2
    public static let bridge: UInt8 = 7
    public static let ipv6: UInt8 = 10

    /// That of an address of so many bytes.
    public static func of(_ address: [UInt8]) -> UInt8 { address.count == 4 ? ipv4 : ipv6 }
}

extension NetlinkRequest {
    /// About a link; its attributes follow.
    /// - Parameters:
    ///   - index: 0 when an attribute gives its name, and for a new one.
    ///   - state: its IFF flags, as far as `mask` has them.
    public static func link(
        _ type: UInt16, _ flags: NetlinkFlags = [], family: UInt8 = AddressFamily.unspecified, index: UInt32 = 0,
        state: UInt32 = 0, mask: UInt32 = 0
    ) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags)
        request.linkHeader(family: family, index: index, state: state, mask: mask)
        return request
    }

    /// `struct ifinfomsg`, 16 bytes.
    public mutating func linkHeader(
        family: UInt8 = AddressFamily.unspecified, index: UInt32 = 0, state: UInt32 = 0, mask: UInt32 = 0
    ) {
        body.write(UInt32(family))
        body.write(index)
        body.write(state)
        body.write(mask)
    }

    /// Brings a link up, or down.
    public static func link(_ index: UInt32, isUp: Bool) -> NetlinkRequest {
        // IFF_UP
        link(RouteMessage.newLink, index: index, state: isUp ? 1 : 0, mask: 1)
    }

    /// About an address of a link, of 4 or 16 bytes in network order. It is used at once: nobody else has it (IFA_F_NODAD).
    /// - Parameter isOfLink: of IPv4: it is nobody's but on this link, and nothing is sent from it elsewhere.
    public static func address(
        _ type: UInt16, _ flags: NetlinkFlags, _ address: [UInt8], prefixLength: UInt8, link: UInt32,
        isOfLink: Bool = false
    ) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags)
        let family = AddressFamily.of(address)
        request.body.write(family)
        request.body.write(prefixLength)
        request.body.write(UInt8(family == AddressFamily.ipv6 ? 0x02 : 0))
        // RT_SCOPE_LINK, RT_SCOPE_UNIVERSE
        request.body.write(UInt8(isOfLink ? 253 : 0))
        request.body.write(link)
        request.attribute(RouteAttribute.addressLocal, address)
        request.attribute(RouteAttribute.addressPeer, address)
        return request
    }

    /// About a route of the main table, set by hand (RTPROT_STATIC), to a destination of 4 or 16 bytes in network order.
    /// - Parameter gateway: nil: directly on the link.
    public static func route(
        _ type: UInt16, _ flags: NetlinkFlags, to destination: [UInt8], prefixLength: UInt8, via gateway: [UInt8]?,
        link: UInt32
    ) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags)
        let family = AddressFamily.of(destination)
        request.body.write(family)
        request.body.write(prefixLength)
        // Neither source nor type of service; RT_TABLE_MAIN, RTPROT_STATIC.
        request.body.writeBytes([0, 0, 254, 4])
        // RT_SCOPE_LINK, which the other family does not know; RTN_UNICAST.
        request.body.write(UInt8(gateway == nil && family == AddressFamily.ipv4 ? 253 : 0))
        request.body.write(UInt8(1))
        request.body.write(UInt32(0))
        if prefixLength > 0 { request.attribute(RouteAttribute.routeDestination, destination) }
        if let gateway { request.attribute(RouteAttribute.routeGateway, gateway) }
        request.attribute(RouteAttribute.routeLink, link)
        return request
    }
    /// About an address of the computer's own, as packets that come in over a link find it.
    /// - Parameter metric: of two routes to an address that with the smaller one counts.
    public static func localRoute(
        _ type: UInt16, _ flags: NetlinkFlags, to address: [UInt8], link: UInt32, metric: UInt32
    ) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags)
        request.body.write(AddressFamily.of(address))
        request.body.write(UInt8(address.count * 8))
        // Neither source nor type of service; RT_TABLE_LOCAL, RTPROT_STATIC; anywhere, RTN_LOCAL.
        request.body.writeBytes([0, 0, 255, 4, 0, 2])
        request.body.write(UInt32(0))
        request.attribute(RouteAttribute.routeDestination, address)
        request.attribute(RouteAttribute.routeLink, link)
        request.attribute(RouteAttribute.routePriority, metric)
        return request
    }
}
