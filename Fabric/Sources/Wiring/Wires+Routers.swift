public import AgentProtocol
public import LinuxCalls
import Netlink

/// An end of an appliance that routes. What it takes for its neighbour there are addresses of the link at which its frames arrive: the kernel
/// answers for them whether or not anything is led into the appliance, and nothing else that it sends gets to the kernel's stack.
public struct RouterEnd: Equatable, Sendable {
    /// How much is looked at of the address that a question comes from: neither which end it is of nor its neighbours, so that there are few
    /// and nobody can fill the kernel's table of neighbours.
    private static let askingMask: UInt32 = 0xffff_f8ff

    /// The index of the link.
    public var link: UInt32
    /// The hardware address of the neighbour.
    public var neighbour: [UInt8]
    /// What the appliance calls it: of IPv4, and of IPv6 if there is such.
    public var gateway: IPAddress
    public var gateway6: IPAddress?
    /// The appliance's own addresses of the link: it asks from these.
    public var own: IPAddress
    public var own6: IPAddress
    /// Where probes are sent that come out here; nil: none do.
    public var probed: IPAddress?
    public var probePort: UInt16
    /// The index of the link that these go out at.
    public var probes: UInt32

    public init(
        link: UInt32, neighbour: [UInt8], gateway: IPAddress, gateway6: IPAddress?, own: IPAddress, own6: IPAddress,
        probed: IPAddress?, probePort: UInt16, probes: UInt32
    ) {
        self.link = link
        self.neighbour = neighbour
        self.gateway = gateway
        self.gateway6 = gateway6
        self.own = own
        self.own6 = own6
        self.probed = probed
        self.probePort = probePort
        self.probes = probes
    }

    /// Source: RFC 826; the sender's address is 14 bytes behind the Ethernet header, the wanted one 24.
    fileprivate var questions4: FrameMatch {
        var match = FrameMatch(etherType: 0x0806)
        match.add(14, bytes: own.bytes, mask: Self.askingMask)
        match.add(24, bytes: gateway.bytes)
        return match
    }

    /// Neighbor solicitations (135) of ICMP (58) that no router has handed on (255). Source: RFC 8200 §3, RFC 4861 §4.3 and §7.1.1.
    fileprivate var questions6: FrameMatch? {
        guard let gateway6 else { return nil }
        var match = FrameMatch(etherType: 0x86dd)
        match.add(4, 58 << 8 | 255, mask: 0xffff)
        match.add(8, bytes: own6.bytes)
        match.add(40, 135 << 24, mask: 0xff00_0000)
        match.add(48, bytes: gateway6.bytes)
        return match
    }

    /// UDP (17), of IPv4 without options. Source: RFC 791 §3.1, RFC 8200 §3, RFC 768.
    fileprivate var routedProbes: FrameMatch? {
        guard let probed else { return nil }
        if probed.family == .v4 {
            var match = FrameMatch(etherType: 0x0800)
            match.add(0, 0x4500_0000, mask: 0xff00_0000)
            match.add(8, 17 << 16, mask: 0x00ff_0000)
            match.add(16, bytes: probed.bytes)
            match.add(20, UInt32(probePort), mask: 0xffff)
            return match
        }
        var match = FrameMatch(etherType: 0x86dd)
        match.add(4, 17 << 8, mask: 0xff00)
        match.add(24, bytes: probed.bytes)
        match.add(40, UInt32(probePort), mask: 0xffff)
        return match
    }
}

extension Wires {
    /// Has who routes at an end find its neighbour there, and its probes leave the wire. The link is connected already; once more is no error.
    public mutating func begin(_ end: RouterEnd) throws(LinuxError) {
        try turn(end)
        try perform(Self.address(RouteMessage.newAddress, .make, end.gateway.bytes, end.link), besides: [.exists])
        try endQuestions(at: end.link)
        try session.perform(RedirectFilter.making(.questions4, at: end.link, end.questions4))
        // A kernel without IPv6 has nobody who is asked.
        if let gateway = end.gateway6, let questions = end.questions6,
            (try? perform(Self.address(RouteMessage.newAddress, .make, gateway.bytes, end.link), besides: [.exists]))
                != nil
        {
            try session.perform(RedirectFilter.making(.questions6, at: end.link, questions))
        }
        if let probes = end.routedProbes {
            try session.perform(RedirectFilter.making(.routedProbes, at: end.link, probes, to: end.probes))
        }
    }

    /// Has the kernel answer there in the name of that neighbour. Who knows another one goes on with that until it is told.
    public mutating func turn(_ end: RouterEnd) throws(LinuxError) {
        // Not IFF_NOARP, which `prepare` has set.
        var answering = NetlinkRequest.link(RouteMessage.newLink, index: end.link, state: 0, mask: 0x80)
        answering.attribute(RouteAttribute.linkAddress, end.neighbour)
        try session.perform(answering)
    }

    /// Makes it an end as any other again, which has no address and answers nobody. One that is not there is no error.
    public mutating func end(_ end: RouterEnd) throws(LinuxError) {
        do throws(LinuxError) {
            try endQuestions(at: end.link)
            for address in [end.gateway, end.gateway6].compactMap({ $0 }) {
                try perform(
                    Self.address(RouteMessage.deleteAddress, [], address.bytes, end.link),
                    besides: [.addressNotAvailable, .familyNotSupported])
            }
            // IFF_NOARP
            try session.perform(.link(RouteMessage.newLink, index: end.link, state: 0x80, mask: 0x80))
        } catch {
            if error != .noDevice { throw error }
        }
    }

    /// Has frames that arrive at links for a station that everything was sent to before go on as they did: they are under way while what
    /// follows them is sent to another one. Nil: none do, at this link. What led to a link that is no more led nowhere.
    public mutating func keep(
        _ former: [(wire: Wire, station: [UInt8]?)]
    ) throws(WireFailure) {
        // What matches cannot be changed.
        try endFormerWays(at: former.map { $0.wire.from })
        var kept: [NetlinkRequest] = []
        for (wire, station) in former {
            guard let station else { continue }
            kept.append(
                RedirectFilter.making(.formerStation, at: wire.from, FrameMatch(to: station), to: wire.to))
        }
        try performAll(kept, besides: [.noDevice])
    }

    /// Has everything that arrives at links go the one way again. Where there was no other it is no error.
    public mutating func endFormerWays(at links: [UInt32]) throws(WireFailure) {
        try performAll(
            links.map { RedirectFilter.removing(.formerStation, from: $0) }, besides: [.noEntry, .invalidArgument])
    }

    private mutating func endQuestions(at link: UInt32) throws(LinuxError) {
        for special in [RedirectFilter.Special.questions4, .questions6, .routedProbes] {
            try perform(RedirectFilter.removing(special, from: link), besides: [.noEntry, .invalidArgument])
        }
    }

    /// - Parameter besides: what is no error.
    private mutating func perform(_ request: NetlinkRequest, besides: [LinuxError]) throws(LinuxError) {
        do throws(LinuxError) { try session.perform(request) } catch {
            if !besides.contains(error) { throw error }
        }
    }

    private static func address(
        _ type: UInt16, _ flags: NetlinkFlags, _ address: [UInt8], _ link: UInt32
    ) -> NetlinkRequest {
        .address(type, flags, address, prefixLength: UInt8(address.count * 8), link: link, isOfLink: true)
    }
}
