import AgentProtocol
import FabricProtocol
public import LinuxCalls

/// Which packets are wanted, as text, and as a program for the kernel. What is shorter than it should be is no packet of that kind;
/// nothing that arrives can end a filter early.
public struct PacketFilter: Sendable {
    /// Source: linux/bpf_common.h, BPF_MAXINSNS.
    static let mostInstructions = 4096

    /// Nil: everything.
    public let expression: FilterExpression?

    public init(_ text: String) throws(FilterFault) {
        expression = try FilterText.parse(text)
        guard program(bytes: 1).count <= Self.mostInstructions else {
            throw FilterFault(column: 1, reason: "the filter is too long for the kernel")
        }
    }

    /// - Parameter bytes: how much is kept of each packet that is wanted.
    public func program(bytes: UInt32) -> [FilterInstruction] {
        var assembler = FilterAssembler()
        let yes = assembler.label()
        let no = assembler.label()
        if let expression {
            assembler.findHeaders()
            assembler.add(expression, yes: yes, no: no)
        }
        assembler.place(yes)
        assembler.add(0x06, bytes)
        assembler.place(no)
        assembler.add(0x06, 0)
        return assembler.finished()
    }
}

extension FilterAssembler {
    /// Notes where the packet's headers are, before anything is asked of it.
    fileprivate mutating func findHeaders() {
        let done = label()
        set(.etherType, 0)
        set(.network, 14)
        set(.transport, 256)
        set(.transportPlace, 0)
        set(.isFirstPiece, 0)
        add(0x80)
        jump(done, if: .atLeast, 14, isNot: true)
        loadHalf(12, indexed: false)
        store(.etherType)
        for _ in 0..<2 { passTag() }
        let version6 = label()
        load(.etherType)
        jump(version6, if: .equal, UInt32(ProtocolNumber.ipv6))
        jump(done, if: .equal, UInt32(ProtocolNumber.ipv4), isNot: true)
        findTransport4(done)
        place(version6)
        findTransport6(done)
        place(done)
    }

    private mutating func passTag() {
        let (tag, next) = (label(), label())
        for type in ProtocolNumber.tags { jump(tag, if: .equal, UInt32(type)) }
        jump(next)
        place(tag)
        require(4, behind: .network, else: next)
        loadHalf(2)
        store(.etherType)
        load(.network)
        addNumber(4)
        store(.network)
        place(next)
        load(.etherType)
    }

    /// Source: RFC 791 §3.1.
    private mutating func findTransport4(_ done: Label) {
        require(20, behind: .network, else: done)
        loadByte(9)
        store(.transport)
        loadByte(0)
        mask(0x0f)
        shiftLeft(2)
        addIndex()
        store(.transportPlace)
        loadHalf(6)
        jump(done, if: .hasBits, 0x1fff)
        set(.isFirstPiece, 1)
        jump(done)
    }

    /// Source: RFC 8200 §4, RFC 4302 §2.2.
    private mutating func findTransport6(_ done: Label) {
        require(40, behind: .network, else: done)
        loadByte(6)
        store(.transport)
        load(.network)
        addNumber(40)
        store(.transportPlace)
        set(.isFirstPiece, 1)
        for _ in 0..<ProtocolNumber.mostExtensions {
            let (long, authentication, fragment, next) = (label(), label(), label(), label())
            load(.transport)
            for header in ProtocolNumber.extensions { jump(long, if: .equal, UInt32(header)) }
            jump(fragment, if: .equal, UInt32(ProtocolNumber.fragment))
            jump(authentication, if: .equal, UInt32(ProtocolNumber.authentication))
            jump(done)
            for (header, added, shift) in [(long, UInt32(1), UInt32(3)), (authentication, 2, 2)] {
                place(header)
                require(8, behind: .transportPlace, else: done)
                loadByte(0)
                store(.transport)
                loadByte(1)
                addNumber(added)
                shiftLeft(shift)
                addIndex()
                store(.transportPlace)
                jump(next)
            }
            place(fragment)
            require(8, behind: .transportPlace, else: done)
            loadByte(0)
            store(.transport)
            load(.transportPlace)
            addNumber(8)
            store(.transportPlace)
            loadHalf(2)
            let first = label()
            jump(first, if: .hasBits, 0xfff8, isNot: true)
            set(.isFirstPiece, 0)
            jump(done)
            place(first)
            place(next)
        }
    }

    // MARK: Questions

    fileprivate mutating func add(_ expression: FilterExpression, yes: Label, no: Label) {
        switch expression {
        case .test(let test): add(test, yes: yes, no: no)
        case .not(let inner): add(inner, yes: no, no: yes)
        case .and(let left, let right):
            let second = label()
            add(left, yes: second, no: no)
            place(second)
            add(right, yes: yes, no: no)
        case .or(let left, let right):
            let second = label()
            add(left, yes: yes, no: second)
            place(second)
            add(right, yes: yes, no: no)
        }
    }

    private mutating func add(_ test: FilterTest, yes: Label, no: Label) {
        switch test {
        case .etherType(let type):
            load(.etherType)
            jump(yes, if: .equal, UInt32(type))
        case .transport(let number):
            load(.transport)
            jump(yes, if: .equal, UInt32(number))
        case .network(let prefix, let side, let type): add(prefix, side, type, yes: yes, no: no)
        case .ports(let range, let side, let transport): add(range, side, transport, yes: yes, no: no)
        case .station(let bytes, let side):
            add(0x80)
            jump(no, if: .atLeast, 14, isNot: true)
            for place in side.places(source: 6, destination: 0) {
                let next = label()
                loadWord(place + 2, indexed: false)
                jump(next, if: .equal, Self.word(bytes[2...]), isNot: true)
                loadHalf(place, indexed: false)
                jump(yes, if: .equal, UInt32(bytes[0]) << 8 | UInt32(bytes[1]))
                self.place(next)
            }
        }
        jump(no)
    }

    private mutating func add(
        _ range: ClosedRange<UInt16>, _ side: FilterTest.Side, _ transport: UInt8?, yes: Label, no: Label
    ) {
        let found = label()
        load(.isFirstPiece)
        jump(no, if: .equal, 1, isNot: true)
        load(.transport)
        for number in transport.map({ [$0] }) ?? [ProtocolNumber.tcp, ProtocolNumber.udp, ProtocolNumber.sctp] {
            jump(found, if: .equal, UInt32(number))
        }
        jump(no)
        place(found)
        require(4, behind: .transportPlace, else: no)
        for place in side.places(source: 0, destination: 2) {
            let next = label()
            loadHalf(place)
            jump(next, if: .atLeast, UInt32(range.lowerBound), isNot: true)
            jump(yes, if: .greater, UInt32(range.upperBound), isNot: true)
            self.place(next)
        }
    }

    private mutating func add(
        _ prefix: NetworkPrefix, _ side: FilterTest.Side, _ type: UInt16?, yes: Label, no: Label
    ) {
        let ways: [(types: [UInt16], bytes: UInt32, source: UInt32, destination: UInt32)] =
            prefix.family == .v6
            ? [([ProtocolNumber.ipv6], 40, 8, 24)]
            : [
                ([ProtocolNumber.ipv4], 20, 12, 16),
                // Of Ethernet and IPv4. Source: RFC 826.
                ([ProtocolNumber.arp, ProtocolNumber.reverseARP], 28, 14, 24),
            ]
        for way in ways {
            let (found, other) = (label(), label())
            load(.etherType)
            for one in way.types where type == nil || type == one { jump(found, if: .equal, UInt32(one)) }
            jump(other)
            place(found)
            require(way.bytes, behind: .network, else: no)
            for place in side.places(source: way.source, destination: way.destination) {
                let next = label()
                let bytes = prefix.base.bytes
                for word in 0..<bytes.count / 4 {
                    let bits = min(max(Int(prefix.length) - word * 32, 0), 32)
                    if bits == 0 { continue }
                    loadWord(place + UInt32(word * 4))
                    mask(UInt32.max << UInt32(32 - bits))
                    jump(next, if: .equal, Self.word(bytes[(word * 4)...]), isNot: true)
                }
                jump(yes)
                self.place(next)
            }
            jump(no)
            place(other)
        }
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
}

extension FilterTest.Side {
    fileprivate func places(source: UInt32, destination: UInt32) -> [UInt32] {
        switch self {
        case .source: [source]
        case .destination: [destination]
        case .either: [source, destination]
        }
    }
}
