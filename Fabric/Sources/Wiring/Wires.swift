public import LinuxCalls
import Netlink

/// What arrives at one link goes out at another, and at no other place but as a copy.
public struct Wire: Equatable, Sendable {
    /// The index of the link at which it arrives.
    public var from: UInt32
    public var to: UInt32
    /// Links that get a copy of each frame, before it goes on.
    public var copies: [UInt32]

    public init(from: UInt32, to: UInt32, copies: [UInt32] = []) {
        self.from = from
        self.to = to
        self.copies = copies
    }
}

/// What has gone over a wire since it was last connected.
public struct WireCounters: Equatable, Sendable {
    /// Of those that come together as one large frame, that one is counted.
    public var frames: UInt64
    /// Without Ethernet headers.
    public var bytes: UInt64
    /// Frames that had nowhere to go: the link that they were for was down or had nobody at its other end.
    public var drops: UInt64
}

/// A wire that could not be connected, and why.
public struct WireFailure: Error, Equatable, Sendable {
    /// Its place among those that were to be connected.
    public var index: Int
    public var cause: LinuxError
}

/// Wires between links, in the network namespace that the thread is in when this is made.
///
/// A wire is one filter at the ingress of its link, of a fixed priority and handle: it takes every frame and redirects it. Replacing it is
/// one change of a pointer in the kernel: each frame meets the old or the new one, and none meets nothing.
/// Source: tc-u32(8), tc-mirred(8), Linux `net/sched/cls_u32.c`.
///
/// **Up and connected are one.** A link without a filter that is up hands its frames to the kernel's own stack, which may answer or route
/// them; so a link is prepared while it is down, `connect` brings it up behind its filter, and `disconnect` takes it down before its filter.
public struct Wires: ~Copyable {
    var session: NetlinkSession

    public init() throws(LinuxError) { session = try NetlinkSession() }

    /// Makes a link that is down ready to be connected: it has a place for filters, no address of its own, and answers nobody.
    /// Once more is no error.
    public mutating func prepare(_ index: UInt32) throws(LinuxError) {
        // IFF_NOARP
        var quiet = NetlinkRequest.link(RouteMessage.newLink, index: index, state: 0x80, mask: 0x80)
        // IFLA_AF_SPEC, AF_INET6, IFLA_INET6_ADDR_GEN_MODE: IN6_ADDR_GEN_MODE_NONE
        quiet.nested(26) { request in
            request.nested(UInt16(AddressFamily.ipv6)) { request in request.attribute(8, [1]) }
        }
        let failures = try session.performAll([RedirectFilter.placing(on: index), quiet])
        if let failure = failures[0], failure != .exists { throw failure }
        // EAFNOSUPPORT: a kernel without IPv6 gives no addresses.
        if let failure = failures[1] {
            guard failure == .familyNotSupported else { throw failure }
            try session.perform(.link(RouteMessage.newLink, index: index, state: 0x80, mask: 0x80))
        }
    }

    /// Connects wires in their order, all in one datagram to the kernel, and then brings the links up at which they begin. A link that is
    /// connected already goes on with its new wire from one frame to the next. At most `NetlinkSession.maximumRequests` wires.
    /// - Throws: the first that failed; the kernel has connected all others. ENODEV: a link is not there. EINVAL: it has not been prepared.
    public mutating func connect(_ wires: [Wire]) throws(WireFailure) {
        try performAll(wires.map { RedirectFilter.replacing($0) })
        try performAll(wires.map { .link($0.from, isUp: true) })
    }

    /// Has probes that arrive at links leave their wires, for `ProbeSocket`. The links are connected already.
    public mutating func passProbes(at indices: [UInt32]) throws(WireFailure) {
        let match = FrameMatch(etherType: ProbeSocket.etherType)
        try performAll(indices.map { RedirectFilter.making(.probes, at: $0, match) })
    }

    /// Takes links down, and then their wires away. A link that is not there, or not connected, is no error.
    /// At most `NetlinkSession.maximumRequests` links.
    public mutating func disconnect(_ indices: [UInt32]) throws(WireFailure) {
        try performAll(indices.map { .link($0, isUp: false) }, besides: [.noDevice])
        try performAll(
            indices.map { RedirectFilter.removing(from: $0) }, besides: [.noDevice, .noEntry, .invalidArgument])
    }

    /// The wires that begin at these links, as the kernel has them, in the order of the links. A link that is not there has none.
    public mutating func connections(
        of indices: [UInt32]
    ) throws(LinuxError) -> [(wire: Wire, counters: WireCounters)] {
        var connections: [(wire: Wire, counters: WireCounters)] = []
        for index in indices {
            do throws(LinuxError) {
                for message in try session.dump(RedirectFilter.listing(index)) {
                    if let filter = try RedirectFilter(message) { connections.append((filter.wire, filter.counters)) }
                }
            } catch {
                if error != .noDevice { throw error }
            }
        }
        return connections
    }

    /// - Parameter besides: what is no error.
    mutating func performAll(
        _ requests: [NetlinkRequest], besides: [LinuxError] = []
    ) throws(WireFailure) {
        let failures: [LinuxError?]
        do throws(LinuxError) { failures = try session.performAll(requests) } catch {
            throw WireFailure(index: 0, cause: error)
        }
        for (index, failure) in failures.enumerated() {
            if let failure, !besides.contains(failure) { throw WireFailure(index: index, cause: failure) }
        }
    }
}
