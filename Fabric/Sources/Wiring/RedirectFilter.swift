import LinuxCalls
import Netlink
import WireFormats

/// The filter that a wire is: at its link's ingress, of a fixed priority and handle, matching every frame of every protocol, with one
/// action for each copy and a last one that redirects.
///
/// Of the classifiers, u32 is the one that every kernel with traffic control has; without keys it looks at nothing of a frame.
/// Source: Linux `linux/pkt_cls.h`, `linux/tc_act/tc_mirred.h`, `linux/gen_stats.h`.
struct RedirectFilter {
    /// TC_H_CLSACT, and its place for what arrives.
    private static let queueing: UInt32 = 0xffff_fff1
    private static let ingress: UInt32 = 0xffff_fff2
    /// Priority 1; ETH_P_ALL in network order.
    private static let information: UInt32 = 1 << 16 | 0x0300
    /// Table 800, node 800.
    private static let handle: UInt32 = 0x8000_0800
    /// Of the same table nodes that are looked at before, in this order, each for some frames.
    enum Special: UInt32 {
        /// Probes of appliances that leave hardware addresses as they are.
        case probes = 0x8000_0001
        /// Those of appliances that route.
        case routedProbes = 0x8000_0002
        /// What such an appliance asks its neighbour.
        case questions4 = 0x8000_0003
        case questions6 = 0x8000_0004
        /// What is for the station that everything was sent to before.
        case formerStation = 0x8000_0010
    }
    /// TCA_KIND and TCA_OPTIONS of filters; TCA_ACT_KIND and TCA_ACT_OPTIONS of actions have the same numbers.
    private static let kind: UInt16 = 1
    private static let options: UInt16 = 2
    /// TCA_U32_SEL, TCA_U32_ACT, TCA_MIRRED_PARMS, TCA_ACT_STATS
    private static let selector: UInt16 = 5
    private static let actions: UInt16 = 7
    private static let parameters: UInt16 = 2
    private static let statistics: UInt16 = 4

    let wire: Wire
    let counters: WireCounters

    /// Gives a link a place for filters.
    static func placing(on link: UInt32) -> NetlinkRequest {
        var request = request(RouteMessage.newQueueing, .make, link, handle: 0xffff_0000, parent: queueing, 0)
        request.attribute(kind, text: Array("clsact".utf8))
        return request
    }

    /// Makes the filter, or puts it in the place of the one that is there.
    static func replacing(_ wire: Wire) -> NetlinkRequest {
        var request = request(RouteMessage.newFilter, .create, wire.from, handle: handle, parent: ingress, information)
        request.attribute(kind, text: Array("u32".utf8))
        request.nested(options) { request in
            request.attribute(selector, FrameMatch().selector)
            request.nested(actions) { request in
                var number: UInt16 = 0
                for copy in wire.copies {
                    number += 1
                    action(number, result: 3, 2, copy, &request)
                }
                action(number + 1, result: 4, 1, wire.to, &request)
            }
        }
        return request
    }

    /// Makes a node that frames are looked at by before: what matches goes out at a link, or nil: passes to the kernel's own stack. Of one
    /// that is there already the kernel changes where it leads, and not what matches.
    static func making(_ special: Special, at link: UInt32, _ match: FrameMatch, to: UInt32? = nil) -> NetlinkRequest {
        var request = request(
            RouteMessage.newFilter, .create, link, handle: special.rawValue, parent: ingress, information)
        request.attribute(kind, text: Array("u32".utf8))
        request.nested(options) { request in
            request.attribute(selector, match.selector)
            if let to {
                request.nested(actions) { request in action(1, result: 4, 1, to, &request) }
            }
        }
        return request
    }

    static func removing(_ special: Special, from link: UInt32) -> NetlinkRequest {
        var request = request(
            RouteMessage.deleteFilter, [], link, handle: special.rawValue, parent: ingress, information)
        request.attribute(kind, text: Array("u32".utf8))
        return request
    }

    /// Takes it away, and what else may have its priority.
    static func removing(from link: UInt32) -> NetlinkRequest {
        request(RouteMessage.deleteFilter, [], link, handle: 0, parent: ingress, information)
    }

    static func listing(_ link: UInt32) -> NetlinkRequest {
        request(RouteMessage.getFilter, [], link, handle: 0, parent: ingress, 0)
    }

    /// `struct tcmsg`: family (1 byte), padding (3), link (4), handle (4), parent (4), information (4).
    private static func request(
        _ type: UInt16, _ flags: NetlinkFlags, _ link: UInt32, handle: UInt32, parent: UInt32, _ information: UInt32
    ) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags)
        request.body.write(UInt32(0))
        request.body.write(link)
        request.body.write(handle)
        request.body.write(parent)
        request.body.write(information)
        return request
    }

    /// `struct tc_mirred`: index, capabilities, result, two counters of users, what is done, link (4 bytes each).
    /// - Parameters:
    ///   - result: TC_ACT_PIPE (3), to go on with the next action, or TC_ACT_STOLEN (4).
    ///   - deed: TCA_EGRESS_MIRROR (2) or TCA_EGRESS_REDIR (1).
    private static func action(
        _ number: UInt16, result: UInt32, _ deed: UInt32, _ link: UInt32, _ request: inout NetlinkRequest
    ) {
        request.nested(number) { request in
            request.attribute(kind, text: Array("mirred".utf8))
            request.nested(options) { request in
                // The attribute's head: its length and number.
                request.body.write(UInt32(32) | UInt32(parameters) << 16)
                for value in [0, 0, result, 0, 0, deed, link] { request.body.write(value) }
            }
        }
    }
}

extension RedirectFilter {
    /// Nil for a filter that is another one.
    /// - Throws: EPROTO when it is not even a filter.
    init?(_ message: NetlinkMessage) throws(LinuxError) {
        guard message.type == RouteMessage.newFilter, try message.number(at: 8) == Self.handle,
            try message.number(at: 16) == Self.information
        else { return nil }
        let attributes = try message.attributes(after: 20)
        guard let options = try attributes.first(Self.options),
            let actions = try options.attributes.first(Self.actions)
        else { return nil }
        var wire = Wire(from: try message.number(at: 4), to: 0)
        var counters = WireCounters(frames: 0, bytes: 0, drops: 0)
        var list = actions.attributes
        while let action = try list.next() {
            guard let options = try action.attributes.first(Self.options),
                let parameters = try options.attributes.first(Self.parameters),
                let deed = parameters.number(at: 20), let link = parameters.number(at: 24)
            else { return nil }
            guard deed == 1 else {
                wire.copies.append(link)
                continue
            }
            wire.to = link
            if let statistics = try action.attributes.first(Self.statistics) {
                counters = try WireCounters(statistics.attributes)
            }
        }
        guard wire.to != 0 else { return nil }
        self.wire = wire
        self.counters = counters
    }
}

extension WireCounters {
    /// TCA_STATS_BASIC: bytes (8), frames (4); TCA_STATS_PKT64: frames (8), when they are many; TCA_STATS_QUEUE: length, backlog, drops,
    /// requeues, overlimits (4 each). What cannot be redirected counts as over the limit.
    init(_ attributes: NetlinkAttributes) throws(LinuxError) {
        self.init(frames: 0, bytes: 0, drops: 0)
        var attributes = attributes
        while let attribute = try attributes.next() {
            func wide(_ offset: Int) -> UInt64 {
                UInt64(attribute.number(at: offset) ?? 0) | UInt64(attribute.number(at: offset + 4) ?? 0) << 32
            }
            switch attribute.number {
            case 1:
                bytes = wide(0)
                frames = max(frames, UInt64(attribute.number(at: 8) ?? 0))
            case 3: drops = UInt64(attribute.number(at: 8) ?? 0) + UInt64(attribute.number(at: 16) ?? 0)
            case 8: frames = wide(0)
            default: break
            }
        }
    }
}
