public import AgentProtocol
public import LinuxCalls
import Netlink
import WireFormats

/// The links of the network namespace that the thread is in when this is made.
///
/// Errors are the kernel's own: EPERM without CAP_NET_ADMIN in the namespace, EEXIST when what is to be made is there already, ENODEV when
/// a link is not there. A call that throws has changed nothing, unless it says otherwise.
public struct Links: ~Copyable {
    var session: NetlinkSession

    public init() throws(LinuxError) { session = try NetlinkSession() }

    public mutating func list() throws(LinuxError) -> [Link] {
        var request = NetlinkRequest.link(RouteMessage.getLink)
        request.leaveOutCounters()
        var links: [Link] = []
        for message in try session.dump(request) { links.append(try Link(message)) }
        return links
    }

    /// The link of that name; nil when there is none.
    public mutating func find(_ name: ByteString) throws(LinuxError) -> Link? {
        guard Self.isName(name) else { return nil }
        var request = NetlinkRequest.link(RouteMessage.getLink)
        request.attribute(RouteAttribute.linkName, text: name.bytes)
        request.leaveOutCounters()
        do throws(LinuxError) { return try Link(try session.get(request)) } catch {
            if error == .noDevice { return nil }
            throw error
        }
    }

    /// Makes a bridge, which is down: without spanning tree, so that a new port forwards at once, and without looking into multicast.
    /// - Parameters:
    ///   - hardwareAddress: six bytes; without it the bridge takes after its ports, and changes with them.
    ///   - maximumTransmissionUnit: 0 leaves it to the kernel.
    /// - Returns: its index.
    @discardableResult
    public mutating func makeBridge(
        _ name: ByteString, hardwareAddress: [UInt8] = [], maximumTransmissionUnit: UInt32 = 0
    ) throws(LinuxError) -> UInt32 {
        var request = try Self.new(name, maximumTransmissionUnit)
        if !hardwareAddress.isEmpty { request.attribute(RouteAttribute.linkAddress, hardwareAddress) }
        request.nested(RouteAttribute.linkInformation) { request in
            request.attribute(RouteAttribute.informationKind, Array("bridge".utf8))
            request.nested(RouteAttribute.informationData) { request in
                // IFLA_BR_FORWARD_DELAY, IFLA_BR_STP_STATE, IFLA_BR_MCAST_SNOOPING
                request.attribute(1, UInt32(0))
                request.attribute(5, UInt32(0))
                request.attribute(23, [0])
            }
        }
        try session.perform(request)
        return try index(of: name)
    }

    /// Makes two links, both down, of which each receives what the other sends.
    /// - Parameters:
    ///   - peerNamespace: a descriptor of the network namespace that the peer belongs to; nil: the same one.
    ///   - maximumTransmissionUnit: that of both; 0 leaves it to the kernel.
    /// - Returns: the index of the first.
    @discardableResult
    public mutating func makePair(
        _ name: ByteString, peer: ByteString, peerNamespace: Int32? = nil, maximumTransmissionUnit: UInt32 = 0
    ) throws(LinuxError) -> UInt32 {
        var request = try Self.new(name, maximumTransmissionUnit)
        let other = try Self.new(peer, maximumTransmissionUnit)
        request.nested(RouteAttribute.linkInformation) { request in
            request.attribute(RouteAttribute.informationKind, Array("veth".utf8))
            request.nested(RouteAttribute.informationData) { request in
                // VETH_INFO_PEER: a message about a link without its header.
                request.nested(1) { request in
                    request.body.writeBytes(other.body.bytes)
                    // IFLA_NET_NS_FD
                    if let peerNamespace { request.attribute(28, UInt32(bitPattern: peerNamespace)) }
                }
            }
        }
        try session.perform(request)
        return try index(of: name)
    }

    /// Takes a link away, its peer with it, and every filter, address and route of theirs. One that is not there is no error.
    public mutating func remove(_ name: ByteString) throws(LinuxError) {
        guard Self.isName(name) else { return }
        var request = NetlinkRequest.link(RouteMessage.deleteLink)
        request.attribute(RouteAttribute.linkName, text: name.bytes)
        do throws(LinuxError) { try session.perform(request) } catch {
            if error != .noDevice { throw error }
        }
    }

    /// Takes links away, all at once: the kernel waits for every processor once for all of them, and not for each, which takes it
    /// tens of milliseconds. One that is not there is no error.
    public mutating func remove(_ indices: [UInt32]) throws(LinuxError) {
        // A group (IFLA_GROUP) that nobody else uses; all that is in it is taken away.
        let group: UInt32 = 0x5357_4c54
        var rest = indices[...]
        while !rest.isEmpty {
            var requests: [NetlinkRequest] = []
            for index in rest.prefix(NetlinkSession.maximumRequests - 1) {
                var request = NetlinkRequest.link(RouteMessage.newLink, index: index)
                request.attribute(27, group)
                requests.append(request)
            }
            rest = rest.dropFirst(requests.count)
            var removal = NetlinkRequest.link(RouteMessage.deleteLink)
            removal.attribute(27, group)
            requests.append(removal)
            for case let failure? in try session.performAll(requests) where failure != .noDevice { throw failure }
        }
    }

    /// Changes what is not nil. When it throws, some of it may have been changed.
    /// - Parameters:
    ///   - master: the bridge that it becomes a port of; 0: of none.
    ///   - queueFrames: how many frames wait for whoever reads them: of a TAP device.
    public mutating func set(
        _ index: UInt32, isUp: Bool? = nil, master: UInt32? = nil, maximumTransmissionUnit: UInt32? = nil,
        hardwareAddress: [UInt8]? = nil, queueFrames: UInt32? = nil
    ) throws(LinuxError) {
        var request = NetlinkRequest.link(
            RouteMessage.newLink, index: index, state: isUp == true ? 1 : 0, mask: isUp == nil ? 0 : 1)
        if let master { request.attribute(RouteAttribute.linkMaster, master) }
        if let maximumTransmissionUnit {
            request.attribute(RouteAttribute.linkMaximumTransmissionUnit, maximumTransmissionUnit)
        }
        if let hardwareAddress { request.attribute(RouteAttribute.linkAddress, hardwareAddress) }
        // IFLA_TXQLEN
        if let queueFrames { request.attribute(13, queueFrames) }
        try session.perform(request)
    }

    /// Changes what is not nil of a bridge's port.
    /// - Parameters:
    ///   - isIsolated: whether it exchanges nothing with other isolated ports of its bridge.
    ///   - isHairpin: whether what came from it may go out at it again.
    public mutating func setPort(
        _ index: UInt32, isIsolated: Bool? = nil, isHairpin: Bool? = nil
    ) throws(LinuxError) {
        var request = NetlinkRequest.link(RouteMessage.setLink, family: AddressFamily.bridge, index: index)
        // IFLA_PROTINFO with IFLA_BRPORT_ISOLATED and IFLA_BRPORT_MODE
        request.nested(12) { request in
            if let isIsolated { request.attribute(33, [isIsolated ? 1 : 0]) }
            if let isHairpin { request.attribute(4, [isHairpin ? 1 : 0]) }
        }
        try session.perform(request)
    }

    private mutating func index(of name: ByteString) throws(LinuxError) -> UInt32 {
        guard let link = try find(name) else { throw .noDevice }
        return link.index
    }

    /// - Throws: EINVAL for what is no name.
    private static func new(
        _ name: ByteString, _ maximumTransmissionUnit: UInt32
    ) throws(LinuxError) -> NetlinkRequest {
        guard isName(name) else { throw .invalidArgument }
        var request = NetlinkRequest.link(RouteMessage.newLink, .make)
        request.attribute(RouteAttribute.linkName, text: name.bytes)
        if maximumTransmissionUnit > 0 {
            request.attribute(RouteAttribute.linkMaximumTransmissionUnit, maximumTransmissionUnit)
        }
        return request
    }

    /// At most 15 bytes that are neither blank, nor a slash or a colon, nor the per cent sign that the kernel replaces by a number;
    /// neither `.` nor `..`. Source: Linux `dev_valid_name`.
    static func isName(_ name: ByteString) -> Bool {
        (1...15).contains(name.count) && name != "." && name != ".."
            && !name.bytes.contains { $0 <= 0x20 || $0 == 0x25 || $0 == 0x2f || $0 == 0x3a }
    }
}

extension NetlinkRequest {
    /// Of a link's answer, its counters are the most.
    mutating func leaveOutCounters() {
        // IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS
        attribute(29, UInt32(1 << 3))
    }
}
