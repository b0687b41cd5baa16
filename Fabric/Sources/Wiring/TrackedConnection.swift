public import AgentProtocol
public import LinuxCalls
import Netlink
import WireFormats

/// A connection that the kernel knows, or what it takes for one: datagrams to and fro, questions and answers.
///
/// Source: Linux `linux/netfilter/nfnetlink_conntrack.h`. Trust: ends are whoever guests speak to.
public struct TrackedConnection: Equatable, Sendable {
    public struct End: Equatable, Sendable {
        public var address: IPAddress
        /// Nil where the transport has none.
        public var port: UInt16?
    }

    public struct Counts: Equatable, Sendable {
        public var frames: UInt64
        public var bytes: UInt64
    }

    /// As it is in the packets of one direction.
    public struct Way: Equatable, Sendable {
        public var source: End
        public var destination: End
        /// Nil where it is not counted.
        public var counts: Counts?
    }

    /// The number of TCP, UDP and so on.
    public var transport: UInt8
    /// Whoever began it has sent so.
    public var question: Way
    /// Whoever answers sends so: another destination, or another source, has been translated.
    public var answer: Way
    public var hasAnswered: Bool
    /// Of TCP, as the kernel numbers its states.
    public var state: UInt8?
    /// When it is forgotten, unless there is more.
    public var secondsLeft: UInt32?
    /// When it began, since 1970; nil where that is not kept.
    public var beganNanoseconds: UInt64?

    private enum Attribute {
        static let question: UInt16 = 1, answer: UInt16 = 2, status: UInt16 = 3, protocolState: UInt16 = 4
        static let timeout: UInt16 = 7, questionCounts: UInt16 = 9, answerCounts: UInt16 = 10, times: UInt16 = 20
    }

    /// All of the thread's network namespace, of IPv4 and IPv6.
    /// - Throws: EPERM without CAP_NET_ADMIN in it, EINVAL for a kernel that tracks none.
    public static func all() throws(LinuxError) -> [TrackedConnection] {
        var session = try NetlinkSession(.netfilter)
        // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET; struct nfgenmsg: family, version, resource: of all.
        var request = NetlinkRequest(0x0101)
        request.body.write(UInt32(0))
        var connections: [TrackedConnection] = []
        for message in try session.dump(request) {
            if let connection = try TrackedConnection(message) { connections.append(connection) }
        }
        return connections
    }

    /// Those of one datagram.
    public static func read(_ datagram: [UInt8]) throws(LinuxError) -> [TrackedConnection] {
        var messages = NetlinkMessages(datagram)
        var connections: [TrackedConnection] = []
        while let message = try messages.next() {
            if let connection = try TrackedConnection(message) { connections.append(connection) }
        }
        return connections
    }

    /// Has the kernel of the thread's network namespace forget connections of TCP, UDP and the like: it asks the rules about the next packet
    /// of one as about the first. One that is there no more is no error.
    public static func forget(_ connections: [TrackedConnection]) throws(LinuxError) {
        if connections.isEmpty { return }
        var session = try NetlinkSession(.netfilter)
        var rest = connections[...]
        while !rest.isEmpty {
            let requests = rest.prefix(NetlinkSession.maximumRequests).map { $0.forgetting }
            rest = rest.dropFirst(requests.count)
            for case let failure? in try session.performAll(requests) where failure != .noEntry { throw failure }
        }
    }

    /// IPCTNL_MSG_CT_DELETE. Without a way in it, all would be meant.
    private var forgetting: NetlinkRequest {
        let (source, destination) = (question.source.address.bytes, question.destination.address.bytes)
        var request = NetlinkRequest(0x0102)
        // struct nfgenmsg: family, version (1 byte each), resource (2).
        request.body.writeBytes([AddressFamily.of(source), 0, 0, 0])
        request.nested(Attribute.question) { request in
            // As `way` reads them.
            request.nested(1) { request in
                request.attribute(source.count == 4 ? 1 : 3, source)
                request.attribute(source.count == 4 ? 2 : 4, destination)
            }
            request.nested(2) { request in
                request.attribute(1, [transport])
                if let port = question.source.port { request.attribute(2, Self.bytes(port)) }
                if let port = question.destination.port { request.attribute(3, Self.bytes(port)) }
            }
        }
        return request
    }

    private static func bytes(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)] }

    /// Nil for what is no connection of IPv4 or IPv6.
    init?(_ message: NetlinkMessage) throws(LinuxError) {
        guard message.type == 0x0100 else { return nil }
        var (first, second): ((UInt8, Way)?, (UInt8, Way)?)
        var (firstCounts, secondCounts): (Counts?, Counts?)
        hasAnswered = false
        var attributes = try message.attributes(after: 4)
        while let attribute = try attributes.next() {
            switch attribute.number {
            case Attribute.question: first = try Self.way(attribute)
            case Attribute.answer: second = try Self.way(attribute)
            // IPS_SEEN_REPLY
            case Attribute.status: hasAnswered = Self.number(attribute, 4).map { $0 & 2 != 0 } ?? false
            case Attribute.protocolState:
                // CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE
                state = try attribute.attributes.first(1).flatMap { try? $0.attributes.first(1) }?.value.first
            case Attribute.timeout: secondsLeft = Self.number(attribute, 4).map { UInt32(truncatingIfNeeded: $0) }
            case Attribute.questionCounts: firstCounts = try Self.counts(attribute)
            case Attribute.answerCounts: secondCounts = try Self.counts(attribute)
            // CTA_TIMESTAMP_START
            case Attribute.times: beganNanoseconds = try attribute.attributes.first(1).flatMap { Self.number($0, 8) }
            default: break
            }
        }
        guard let first, let second else { return nil }
        (transport, question) = first
        answer = second.1
        question.counts = firstCounts
        answer.counts = secondCounts
    }

    /// In network order, unlike most of netlink.
    private static func number(_ attribute: NetlinkAttribute, _ bytes: Int) -> UInt64? {
        guard attribute.value.count == bytes else { return nil }
        return attribute.value.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// CTA_COUNTERS_PACKETS, CTA_COUNTERS_BYTES
    private static func counts(_ attribute: NetlinkAttribute) throws(LinuxError) -> Counts? {
        guard let frames = try attribute.attributes.first(1).flatMap({ number($0, 8) }),
            let bytes = try attribute.attributes.first(2).flatMap({ number($0, 8) })
        else { return nil }
        return Counts(frames: frames, bytes: bytes)
    }

    private static func way(_ attribute: NetlinkAttribute) throws(LinuxError) -> (UInt8, Way)? {
        // CTA_TUPLE_IP, with CTA_IP_V4_SRC and V4_DST, or V6_SRC and V6_DST.
        guard let addresses = try attribute.attributes.first(1)?.attributes,
            // CTA_TUPLE_PROTO: CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT.
            let transport = try attribute.attributes.first(2)?.attributes,
            let number = try transport.first(1)?.value.first
        else { return nil }
        func address(_ numbers: UInt16...) throws(LinuxError) -> IPAddress? {
            for number in numbers {
                if let found = try addresses.first(number) { return IPAddress(networkOrder: [UInt8](found.value)) }
            }
            return nil
        }
        guard let source = try address(1, 3), let destination = try address(2, 4) else { return nil }
        func port(_ number: UInt16) throws(LinuxError) -> UInt16? {
            try transport.first(number).flatMap { Self.number($0, 2) }.map { UInt16(truncatingIfNeeded: $0) }
        }
        return (
            number,
            Way(
                source: End(address: source, port: try port(2)),
                destination: End(address: destination, port: try port(3)))
        )
    }
}
