public import AgentProtocol
public import FabricProtocol
public import LinuxCalls

/// A packet that is sent to see which way it takes, and how it and what comes of it are known again wherever they are seen.
///
/// A word that nobody else has goes with it: its number in TCP's sequence, which an answer repeats, or the beginning of its
/// contents, which comes back with an echo. Translated addresses and ports change neither.
public struct TracePacket: Sendable {
    /// What the word must be, and where it stands behind the network's header.
    public struct Mark: Equatable, Sendable {
        public var transport: UInt8
        public var offset: UInt32
        public var word: UInt32
    }

    public let request: TraceRequest
    /// In the place of a port that the machine would choose.
    public let sourcePort: UInt16
    public let word: UInt32

    private static let dynamicPorts: UInt16 = 0xc000

    /// - Parameter random: six bytes.
    public init(_ request: TraceRequest, random: [UInt8]) {
        self.request = request
        let number = random.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        // A question begins with a number of its own, and with what it is.
        word = request.question == nil ? number : number & 0xffff_0000 | UInt32(NameQuestion.flags)
        // Source: RFC 6335 §6.
        let port = Self.dynamicPorts | random.suffix(2).reduce(0) { $0 << 8 | UInt16($1) }
        sourcePort = port == request.destinationPort ? port ^ 1 : port
    }

    private var isVersion6: Bool { request.source.family == .v6 }

    private var transport: UInt8 {
        switch request.transport {
        case .tcp: ProtocolNumber.tcp
        case .udp: ProtocolNumber.udp
        case .icmp: isVersion6 ? ProtocolNumber.icmp6 : ProtocolNumber.icmp
        }
    }

    private var controlTransport: UInt8 { isVersion6 ? ProtocolNumber.icmp6 : ProtocolNumber.icmp }

    /// By which the packet is known, and by which its answer; an echo's answer bears the same.
    public var marks: [Mark] {
        switch request.transport {
        case .tcp:
            [Mark(transport: transport, offset: 4, word: word), Mark(transport: transport, offset: 8, word: word &+ 1)]
        case .udp:
            [
                Mark(transport: transport, offset: 8, word: word),
                Mark(transport: transport, offset: 0, word: answerPorts),
            ]
        case .icmp: [Mark(transport: transport, offset: 8, word: word)]
        }
    }

    private var answerPorts: UInt32 { UInt32(request.destinationPort) << 16 | UInt32(sourcePort) }

    // MARK: The frame

    /// With its Ethernet header. Source: RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1, RFC 768, RFC 792, RFC 4443 §4.1.
    public var frame: [UInt8] {
        var contents = segment
        let pseudoHeader = pseudoHeader(contents.count)
        let place = request.transport == .tcp ? 16 : request.transport == .udp ? 6 : 2
        // Of IPv4's messages nothing but themselves is summed up.
        let isAlone = request.transport == .icmp && !isVersion6
        let sum = InternetChecksum.of(isAlone ? contents : pseudoHeader + contents)
        // Of UDP 0 would mean that there is none.
        Self.put(request.transport == .udp && sum == 0 ? 0xffff : sum, at: place, &contents)
        let type = isVersion6 ? ProtocolNumber.ipv6 : ProtocolNumber.ipv4
        return request.nextStation + request.station + Self.bytes(type) + networkHeader(contents.count) + contents
    }

    /// From its network's header on.
    public var packet: [UInt8] { Array(frame.dropFirst(14)) }

    private func networkHeader(_ count: Int) -> [UInt8] {
        let length = UInt16(truncatingIfNeeded: count)
        if isVersion6 {
            return [0x60, 0, 0, 0] + Self.bytes(length) + [transport, 64] + request.source.bytes
                + request.destination.bytes
        }
        // Not to be taken to pieces.
        var header: [UInt8] =
            [0x45, 0] + Self.bytes(length + 20) + Self.bytes(UInt16(truncatingIfNeeded: word)) + [
                0x40, 0, 64, transport,
            ]
            + [0, 0]
        header += request.source.bytes + request.destination.bytes
        Self.put(InternetChecksum.of(header), at: 10, &header)
        return header
    }

    private func pseudoHeader(_ count: Int) -> [UInt8] {
        let length = Self.bytes(UInt16(truncatingIfNeeded: count))
        return request.source.bytes + request.destination.bytes
            + (isVersion6 ? [0, 0] + length + [0, 0, 0, transport] : [0, transport] + length)
    }

    /// Its sum is still to be written.
    private var segment: [UInt8] {
        let mark = Self.bytes(UInt16(truncatingIfNeeded: word >> 16)) + Self.bytes(UInt16(truncatingIfNeeded: word))
        let ports = Self.bytes(sourcePort) + Self.bytes(request.destinationPort)
        var contents = mark + Array("swiftlet".utf8)
        if let question = request.question {
            contents = question.message(identifier: UInt16(truncatingIfNeeded: word >> 16))
        }
        switch request.transport {
        case .tcp: return ports + mark + [0, 0, 0, 0, 0x50, 0x02, 0xfa, 0xf0, 0, 0, 0, 0]
        case .udp: return ports + Self.bytes(UInt16(8 + contents.count)) + [0, 0] + contents
        case .icmp: return [isVersion6 ? 128 : 8, 0, 0, 0] + Self.bytes(sourcePort) + [0, 1] + contents
        }
    }

    private static func bytes(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] }

    private static func put(_ number: UInt16, at place: Int, _ bytes: inout [UInt8]) {
        bytes[place] = UInt8(number >> 8)
        bytes[place + 1] = UInt8(truncatingIfNeeded: number)
    }

    // MARK: Seeing it

    /// For the kernel: the packet, its answers, and messages that may say what has become of it.
    /// - Parameter bytes: how much is kept of each.
    public func program(bytes: UInt32) -> [FilterInstruction] {
        var assembler = FilterAssembler()
        let (yes, no, messages) = (assembler.label(), assembler.label(), assembler.label())
        assembler.loadHalf(12, indexed: false)
        let type = isVersion6 ? ProtocolNumber.ipv6 : ProtocolNumber.ipv4
        assembler.jump(no, if: .equal, UInt32(type), isNot: true)
        // BPF_LDX with 4 * (byte & 15), or a number; BPF_LD | BPF_B | BPF_ABS: the transport.
        if isVersion6 { assembler.add(0x01, 40) } else { assembler.add(0xb1, 14) }
        assembler.add(0x30, isVersion6 ? 20 : 23)
        if request.transport != .icmp { assembler.jump(messages, if: .equal, UInt32(controlTransport)) }
        assembler.jump(no, if: .equal, UInt32(transport), isNot: true)
        if request.transport == .icmp {
            assembler.loadByte(14)
            for kind in Self.refusals(isVersion6) { assembler.jump(yes, if: .equal, UInt32(kind)) }
        }
        // What may be shorter comes first: who looks behind the end ends with no.
        for mark in marks.reversed() {
            assembler.loadWord(14 + mark.offset)
            assembler.jump(yes, if: .equal, mark.word)
        }
        assembler.jump(no)
        assembler.place(messages)
        assembler.loadByte(14)
        for kind in Self.refusals(isVersion6) { assembler.jump(yes, if: .equal, UInt32(kind)) }
        assembler.jump(no)
        assembler.place(yes)
        assembler.add(0x06, bytes)
        assembler.place(no)
        assembler.add(0x06, 0)
        return assembler.finished()
    }

    /// Messages that quote what they are about: unreachable, too big, time exceeded, wrong header.
    private static func refusals(_ isVersion6: Bool) -> [UInt8] { isVersion6 ? [1, 2, 3, 4] : [3, 11, 12] }

    /// What a frame has to do with the packet; nil for nothing.
    ///
    /// Trust: anybody's bytes.
    public func sighting(inFrame frame: [UInt8]) -> PacketSighting? {
        let type = isVersion6 ? ProtocolNumber.ipv6 : ProtocolNumber.ipv4
        guard frame.count >= 14, UInt16(frame[12]) << 8 | UInt16(frame[13]) == type else { return nil }
        return sighting(inPacket: frame[14...])
    }

    /// The same of a packet from its network's header on.
    public func sighting(inPacket packet: ArraySlice<UInt8>) -> PacketSighting? {
        guard let head = PacketHead(packet, isVersion6: isVersion6) else { return nil }
        func sighting(_ kind: PacketSighting.Kind) -> PacketSighting {
            let hasPorts = head.transport != controlTransport
            return PacketSighting(
                kind: kind, source: head.source, destination: head.destination,
                sourcePort: hasPorts ? head.half(0) : nil, destinationPort: hasPorts ? head.half(2) : nil)
        }
        if head.transport == controlTransport, let kind = head.byte(0), let code = head.byte(1),
            Self.refusals(isVersion6).contains(kind)
        {
            guard let quoted = PacketHead(head.contents.dropFirst(8), isVersion6: isVersion6), isQuestion(quoted) else {
                return nil
            }
            return sighting(.refused(kind: kind, code: code))
        }
        guard head.transport == transport else { return nil }
        switch request.transport {
        case .tcp:
            guard let flags = head.byte(13) else { return nil }
            // SYN, RST, ACK
            if head.word(4) == word, flags & 0x16 == 0x02 { return sighting(.question) }
            guard head.word(8) == word &+ 1, flags & 0x10 != 0 else { return nil }
            return sighting(flags & 0x04 != 0 ? .reset : flags & 0x02 != 0 ? .accepted : .answered)
        case .udp:
            if head.word(0) == answerPorts { return sighting(.answered) }
            return head.word(8) == word ? sighting(.question) : nil
        case .icmp:
            guard head.word(8) == word, let kind = head.byte(0) else { return nil }
            if kind == (isVersion6 ? 128 : 8) { return sighting(.question) }
            return kind == (isVersion6 ? 129 : 0) ? sighting(.answered) : nil
        }
    }

    /// What was answered to its question, in a frame that answers it; nil in any other.
    ///
    /// Trust: anybody's bytes.
    public func answer(inFrame frame: [UInt8]) -> NameAnswer? {
        guard request.question != nil, sighting(inFrame: frame)?.kind == .answered,
            let head = PacketHead(frame.dropFirst(14), isVersion6: isVersion6),
            head.half(8) == UInt16(truncatingIfNeeded: word >> 16)
        else { return nil }
        return NameAnswer(head.contents.dropFirst(8))
    }

    /// Of what a message quotes there may be eight bytes behind the network's header, and no more. Source: RFC 792.
    private func isQuestion(_ head: PacketHead) -> Bool {
        guard head.transport == transport else { return false }
        if request.transport == .tcp { return head.word(4) == word }
        if let contents = head.word(8) { return contents == word }
        return request.transport == .udp
            ? head.word(0) == UInt32(sourcePort) << 16 | UInt32(request.destinationPort)
            : head.word(4) == UInt32(sourcePort) << 16 | 1
    }
}

/// What has been seen of a packet that is traced.
public struct PacketSighting: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// The packet itself.
        case question
        /// Of TCP: somebody listens.
        case accepted
        /// Of TCP: nobody does.
        case reset
        /// Anything else that answers it.
        case answered
        /// A message of ICMP that quotes it.
        case refused(kind: UInt8, code: UInt8)
    }

    public var kind: Kind
    public var source: IPAddress
    public var destination: IPAddress
    /// Nil where the transport has none.
    public var sourcePort: UInt16?
    public var destinationPort: UInt16?
}

/// Where things are in a packet without options before its transport's header.
private struct PacketHead {
    let transport: UInt8
    let source: IPAddress
    let destination: IPAddress
    /// From the transport's header on.
    let contents: ArraySlice<UInt8>

    /// Nil for what is no packet of the family, or not the first piece of one.
    init?(_ packet: ArraySlice<UInt8>, isVersion6: Bool) {
        func byte(_ place: Int) -> UInt8? { place < packet.count ? packet[packet.startIndex + place] : nil }
        func address(_ place: Int, _ count: Int) -> IPAddress? {
            guard place + count <= packet.count else { return nil }
            return IPAddress(networkOrder: Array(packet.dropFirst(place).prefix(count)))
        }
        guard let first = byte(0), first >> 4 == (isVersion6 ? 6 : 4), let transport = byte(isVersion6 ? 6 : 9),
            let source = isVersion6 ? address(8, 16) : address(12, 4),
            let destination = isVersion6 ? address(24, 16) : address(16, 4)
        else { return nil }
        if !isVersion6 {
            guard let high = byte(6), let low = byte(7), high & 0x1f == 0, low == 0 else { return nil }
        }
        self.transport = transport
        self.source = source
        self.destination = destination
        contents = packet.dropFirst(isVersion6 ? 40 : Int(first & 15) * 4)
    }

    func byte(_ place: Int) -> UInt8? { place < contents.count ? contents[contents.startIndex + place] : nil }

    func half(_ place: Int) -> UInt16? {
        guard let high = byte(place), let low = byte(place + 1) else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    func word(_ place: Int) -> UInt32? {
        guard let high = half(place), let low = half(place + 2) else { return nil }
        return UInt32(high) << 16 | UInt32(low)
    }
}
