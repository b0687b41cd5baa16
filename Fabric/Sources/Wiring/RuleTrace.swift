public import AgentProtocol
public import LinuxCalls
import Netlink
import WireFormats

/// What nftables tells of one packet of which it was asked to tell.
public struct RuleTraceEvent: Equatable, Sendable {
    /// What happens to the packet there.
    public enum Verdict: Equatable, Sendable { case dropped, accepted, goesOn }

    /// The packet, as long as it is in the same hands of the kernel's.
    public var id: UInt32
    public var verdict: Verdict
    /// Nil where it is not the doing of a rule, but what becomes of packets that no rule of a chain has decided about.
    public var rule: RuleName?
    /// As nftables writes it: `bridge`, `inet`.
    public var family: ByteString
    public var table: ByteString
    public var chain: ByteString
    /// Its beginning, from the network's header on; empty where it has been told before.
    public var packet: [UInt8]
}

/// A rule, as long as there is one.
public struct RuleName: Hashable, Sendable {
    /// NFPROTO_INET, NFPROTO_BRIDGE and so on.
    public var family: UInt8
    public var table: ByteString
    public var handle: UInt64

    init(family: UInt8, table: ByteString, handle: UInt64) {
        self.family = family
        self.table = table
        self.handle = handle
    }
}

/// Has nftables tell which of its rules meet certain packets, in the network namespace that the thread is in when this is made: by a table
/// that marks them where they first come by. The table belongs to this socket: it goes with it, however this process ends.
/// Source: Linux `linux/netfilter/nf_tables.h`.
public final class RuleTrace {
    /// Packets of a transport that have these four bytes so far behind the head of the network's header.
    public struct Match: Equatable, Sendable {
        public var transport: UInt8
        public var offset: UInt32
        public var word: UInt32

        public init(transport: UInt8, offset: UInt32, word: UInt32) {
            self.transport = transport
            self.offset = offset
            self.word = word
        }
    }

    private static let mostTaken = 1024
    /// NFNL_SUBSYS_NFTABLES.
    private static let subsystem: UInt8 = 10
    private static let newTable: UInt16 = 10 << 8
    private static let newChain: UInt16 = 10 << 8 | 3
    private static let newRule: UInt16 = 10 << 8 | 6
    private static let getRule: UInt16 = 10 << 8 | 7
    private static let traced: UInt16 = 10 << 8 | 17
    /// NFPROTO_INET and NFPROTO_BRIDGE; NF_INET_PRE_ROUTING and NF_INET_LOCAL_OUT, of which a bridge has the first.
    private static let chains: [(family: UInt8, name: String, hook: UInt32)] = [
        (7, "arriving", 0), (1, "arriving", 0), (1, "leaving", 3),
    ]
    /// Before all others, connection tracking included.
    private static let priority: Int32 = -1000

    /// The table is its own.
    private let owner: NetlinkSession
    private let events: NetlinkSocket

    /// To be watched for being readable.
    public var descriptor: Int32 { events.descriptor.number }

    /// - Parameter name: of the table, which nobody else may have.
    /// - Throws: what the kernel says that does not have this; EPERM without CAP_NET_ADMIN.
    public init(of matches: [Match], named name: String) throws(LinuxError) {
        // NFNLGRP_NFTRACE is 9, the ninth bit.
        let events = try NetlinkSocket(.netfilter, groups: 1 << 8)
        var session = try NetlinkSession(.netfilter)
        var requests: [NetlinkRequest] = []
        for family: UInt8 in [7, 1] {
            var table = Self.request(Self.newTable, .make, family)
            table.attribute(1, text: Array(name.utf8))
            // NFTA_TABLE_FLAGS: NFT_TABLE_F_OWNER
            table.attribute(2, Self.networkOrder(2))
            requests.append(table)
        }
        for chain in Self.chains {
            requests.append(Self.chain(chain.name, of: name, chain.family, chain.hook))
            for match in matches { requests.append(Self.rule(match, in: chain.name, of: name, chain.family)) }
        }
        try session.performTogether(requests, of: Self.subsystem)
        self.events = events
        owner = session
    }

    // MARK: The table

    /// `struct nfgenmsg`: family, version (1 byte each), resource (2).
    private static func request(_ type: UInt16, _ flags: NetlinkFlags, _ family: UInt8) -> NetlinkRequest {
        var request = NetlinkRequest(type, flags)
        request.body.writeBytes([family, 0, 0, 0])
        return request
    }

    private static func networkOrder(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * UInt32($0))) }
    }

    private static func chain(_ name: String, of table: String, _ family: UInt8, _ hook: UInt32) -> NetlinkRequest {
        var request = request(newChain, .make, family)
        request.attribute(1, text: Array(table.utf8))
        request.attribute(3, text: Array(name.utf8))
        // NFTA_CHAIN_HOOK with NFTA_HOOK_HOOKNUM and NFTA_HOOK_PRIORITY; NFTA_CHAIN_TYPE. What no rule decides is accepted.
        request.nested(4) { request in
            request.attribute(1, networkOrder(hook))
            request.attribute(2, networkOrder(UInt32(bitPattern: priority)))
        }
        request.attribute(7, text: Array("filter".utf8))
        return request
    }

    /// `meta l4proto N @th,OFFSET,32 WORD meta nftrace set 1`
    private static func rule(_ match: Match, in chain: String, of table: String, _ family: UInt8) -> NetlinkRequest {
        var request = request(newRule, [.create, .append], family)
        request.attribute(1, text: Array(table.utf8))
        request.attribute(2, text: Array(chain.utf8))
        request.nested(4) { request in
            // NFTA_META_DREG, NFTA_META_KEY: NFT_META_L4PROTO
            expression("meta", &request) { request in
                request.attribute(1, networkOrder(1))
                request.attribute(2, networkOrder(16))
            }
            compare([match.transport], &request)
            // NFTA_PAYLOAD_DREG, BASE: NFT_PAYLOAD_TRANSPORT_HEADER, OFFSET, LEN
            expression("payload", &request) { request in
                for (number, value) in [(1, 1), (2, 2), (3, match.offset), (4, 4)] as [(UInt16, UInt32)] {
                    request.attribute(number, networkOrder(value))
                }
            }
            compare(networkOrder(match.word), &request)
            // NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA with NFTA_DATA_VALUE
            expression("immediate", &request) { request in
                request.attribute(1, networkOrder(1))
                request.nested(2) { request in request.attribute(1, [1]) }
            }
            // NFTA_META_SREG, NFTA_META_KEY: NFT_META_NFTRACE
            expression("meta", &request) { request in
                request.attribute(3, networkOrder(1))
                request.attribute(2, networkOrder(12))
            }
        }
        return request
    }

    /// Of NFTA_RULE_EXPRESSIONS: NFTA_LIST_ELEM with NFTA_EXPR_NAME and NFTA_EXPR_DATA.
    private static func expression(
        _ name: String, _ request: inout NetlinkRequest, _ content: (inout NetlinkRequest) -> Void
    ) {
        request.nested(1) { request in
            request.attribute(1, text: Array(name.utf8))
            request.nested(2, content)
        }
    }

    /// NFTA_CMP_SREG, NFTA_CMP_OP: NFT_CMP_EQ, NFTA_CMP_DATA with NFTA_DATA_VALUE.
    private static func compare(_ value: [UInt8], _ request: inout NetlinkRequest) {
        expression("cmp", &request) { request in
            request.attribute(1, networkOrder(1))
            request.attribute(2, networkOrder(0))
            request.nested(3) { request in request.attribute(1, value) }
        }
    }

    // MARK: What is told

    /// What was told since the last call, in its order; some of it when there is very much. Never waits.
    ///
    /// Trust: the packet is anybody's.
    public func next() -> [RuleTraceEvent] {
        var told: [RuleTraceEvent] = []
        for _ in 0..<Self.mostTaken {
            do throws(LinuxError) {
                told += try RuleTraceEvent.read(try events.receive())
            } catch {
                if error == .tryAgain { break }
            }
        }
        return told
    }

    /// What the rules of the thread's network namespace say of themselves, where they say something.
    public static func comments() throws(LinuxError) -> [RuleName: ByteString] {
        var session = try NetlinkSession(.netfilter)
        var comments: [RuleName: ByteString] = [:]
        for message in try session.dump(request(getRule, [], 0)) {
            if let (name, comment) = try comment(message) { comments[name] = comment }
        }
        return comments
    }

    static func comment(_ message: NetlinkMessage) throws(LinuxError) -> (RuleName, ByteString)? {
        guard message.type == newRule, let family = message.body.first else { return nil }
        let attributes = try message.attributes(after: 4)
        // NFTA_RULE_TABLE, NFTA_RULE_HANDLE, NFTA_RULE_USERDATA
        guard let table = try attributes.first(1), let handle = try attributes.first(3)?.wideNumber,
            let data = try attributes.first(7)?.value
        else { return nil }
        // Pieces of a kind, a length (1 byte each) and so many bytes. Source: libnftnl, `NFTNL_UDATA_RULE_COMMENT`.
        var rest = data
        while let kind = rest.first, let length = rest.dropFirst().first, rest.count >= 2 + Int(length) {
            let contents = rest.dropFirst(2).prefix(Int(length))
            if kind == 0 {
                return (
                    RuleName(family: family, table: ByteString(table.text), handle: handle),
                    ByteString(contents.prefix { $0 != 0 })
                )
            }
            rest = rest.dropFirst(2 + Int(length))
        }
        return nil
    }

    fileprivate static func isTraced(_ message: NetlinkMessage) -> Bool { message.type == traced }
}

extension NetlinkAttribute {
    /// Eight bytes in network order.
    fileprivate var wideNumber: UInt64? { value.count == 8 ? value.reduce(0) { $0 << 8 | UInt64($1) } : nil }
    /// Four bytes in network order.
    fileprivate var swappedNumber: UInt32? { value.count == 4 ? value.reduce(0) { $0 << 8 | UInt32($1) } : nil }
}

extension RuleTraceEvent {
    /// Those of one datagram.
    public static func read(_ datagram: [UInt8]) throws(LinuxError) -> [RuleTraceEvent] {
        var messages = NetlinkMessages(datagram)
        var events: [RuleTraceEvent] = []
        while let message = try messages.next() {
            if let event = try RuleTraceEvent(message) { events.append(event) }
        }
        return events
    }

    /// Nil for what says nothing of a packet's fate.
    init?(_ message: NetlinkMessage) throws(LinuxError) {
        guard RuleTrace.isTraced(message), let family = message.body.first else { return nil }
        var type: UInt32?
        var (table, chain): (ByteString, ByteString) = ("", "")
        var (network, transport): (ArraySlice<UInt8>, ArraySlice<UInt8>) = ([], [])
        var (handle, id, code, policy): (UInt64?, UInt32?, UInt32?, UInt32?)
        var attributes = try message.attributes(after: 4)
        while let attribute = try attributes.next() {
            // From NFTA_TRACE_TABLE to NFTA_TRACE_POLICY.
            switch attribute.number {
            case 1: table = ByteString(attribute.text)
            case 2: chain = ByteString(attribute.text)
            case 3: handle = attribute.wideNumber
            case 4: type = attribute.swappedNumber
            // NFTA_VERDICT_CODE
            case 5: code = try attribute.attributes.first(1)?.swappedNumber
            case 6: id = attribute.number()
            case 8: network = attribute.value
            case 9: transport = attribute.value
            case 16: policy = attribute.swappedNumber
            default: break
            }
        }
        guard let id, let type else { return nil }
        // NFT_TRACETYPE_POLICY, NFT_TRACETYPE_RETURN, NFT_TRACETYPE_RULE; NF_DROP is 0.
        let said: UInt32?
        switch type {
        case 1: said = policy
        case 3: said = code
        default: said = nil
        }
        self.id = id
        // What leads to other chains is negative; NF_ACCEPT is 1.
        let kind = said.flatMap { $0 >> 31 == 0 ? $0 & 0xff : nil }
        verdict = kind == 0 ? .dropped : kind == 1 ? .accepted : .goesOn
        rule = type == 3 ? handle.map { RuleName(family: family, table: table, handle: $0) } : nil
        self.family = Self.words(family)
        self.table = table
        self.chain = chain
        packet = [UInt8](network) + [UInt8](transport)
    }

    /// NFPROTO_*
    private static func words(_ family: UInt8) -> ByteString {
        switch family {
        case 1: "inet"
        case 2: "ip"
        case 5: "netdev"
        case 7: "bridge"
        case 10: "ip6"
        default: ByteString(family)
        }
    }
}
