public import AgentProtocol

/// Where one interface of a machine is plugged in: its TAP device, and a port of its network's bridge, joined by a wire
/// into which appliances can be put.
public struct FabricPort: Equatable, Sendable {
    public static let numbers: ClosedRange<UInt16> = 1...60_000
    public static let mostAddresses = 8
    public static let mostNames = 16
    public static let mostNameNetworks = 64
    public static let mostInLine = 8
    public static let mostMirrors = 8
    /// Source: RFC 1035 §2.3.4.
    public static let mostNameBytes = 63

    /// Unique in the fabric; the devices are called by it.
    public var number: UInt16
    /// Nil: it is no machine's place in a network, but an end of an appliance that is put into wires.
    public var network: String?
    /// Of no machine's place: the network at the other end of the wire. What goes from one of the two to the other goes through
    /// the appliances in it, towards `network`, as long as there is one; otherwise it goes as if there were no such port.
    public var joined: String?
    /// Six bytes: the only one that the machine may send from.
    public var hardwareAddress: [UInt8]
    /// Those that the machine may send from; in the network they lead to it.
    public var addresses: [IPAddress]
    /// What its addresses are called in its network; the first is what they are called backwards.
    public var names: [String]
    /// The networks that its machine is in and whose names it finds, this one among them, the nearest first; empty: those of this
    /// one alone.
    public var nameNetworks: [String] = []
    /// The user whose monitor may open the TAP device; nil: root alone.
    public var owner: UInt32?
    /// From the machine to the network.
    public var line: [InlineAppliance]
    /// Ends that get a copy of what the machine sends and of what is sent to it.
    public var mirrors: [UInt16]
    /// The computer's ports that lead to its first address of IPv4.
    public var published: [PublishedPort]
    /// Whether whoever comes to these is seen as the network's own address: of a machine that answers others elsewhere.
    public var hidesVisitors: Bool
    /// What it may open connections to outside of its network; nil: whatever its network lets it.
    public var egress: EgressPolicy?
    /// What becomes of frames between its appliances and its network; nil: nothing. Where it joins networks and none of its appliances is in
    /// the way, what may go from one to the other is what the networks say.
    public var impairment: Impairment?

    public init(
        number: UInt16, network: String?, hardwareAddress: [UInt8], addresses: [IPAddress] = [], names: [String] = [],
        owner: UInt32? = nil, line: [InlineAppliance] = [], mirrors: [UInt16] = [], published: [PublishedPort] = [],
        hidesVisitors: Bool = false, egress: EgressPolicy? = nil
    ) {
        self.number = number
        self.network = network
        self.hardwareAddress = hardwareAddress
        self.addresses = addresses
        self.names = names
        self.owner = owner
        self.line = line
        self.mirrors = mirrors
        self.published = published
        self.hidesVisitors = hidesVisitors
        self.egress = egress
    }

    /// Whether it is a machine's place in a network.
    public var isMachine: Bool { network != nil && joined == nil }

    /// The machine's end of the wire; where it leads from network to network, that at `joined`.
    public var tap: String { Self.tap(number) }
    /// The other side of that, for whom no machine has it open.
    public var upperEnd: String { "u" + String(number) }
    /// The network's end of the wire.
    public var wireEnd: String { "p" + String(number) }
    /// The bridge's port, of which `wireEnd` is the other side.
    public var bridgePort: String { "q" + String(number) }
    /// The ends of the stretch of the wire that is impaired: towards the machine, and towards the network.
    public var stretchEnds: [String] { ["x" + String(number), "y" + String(number)] }

    public static func tap(_ number: UInt16) -> String { "t" + String(number) }
    /// The hardware addresses of the fabric itself at both ends of a wire between networks.
    public static func upperStation(_ number: UInt16) -> [UInt8] {
        [0x02, 0x53, 0x77, 0x01, UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
    }
    public static func lowerStation(_ number: UInt16) -> [UInt8] {
        [0x02, 0x53, 0x77, 0x02, UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
    }
    /// Nil for what is no such device.
    public static func number(ofTap name: String) -> UInt16? { number(of: name, as: [UInt8(ascii: "t")]) }
    public static func number(ofStretchEnd name: String) -> UInt16? {
        number(of: name, as: [UInt8(ascii: "x"), UInt8(ascii: "y")])
    }

    private static func number(of name: String, as letters: [UInt8]) -> UInt16? {
        let digits = name.utf8.dropFirst()
        guard let letter = name.utf8.first, letters.contains(letter), (1...5).contains(digits.count) else {
            return nil
        }
        var number = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            number = number * 10 + Int(digit - 0x30)
        }
        return UInt16(exactly: number)
    }

    /// Whether that can be a machine's name in a network. Source: RFC 1123 §2.1, in lower case.
    public static func isName(_ text: String) -> Bool {
        (1...mostNameBytes).contains(text.utf8.count) && text.utf8.first != 0x2d && text.utf8.last != 0x2d
            && text.utf8.allSatisfy { $0 == 0x2d || (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) }
    }
}

/// An appliance in a machine's wire.
public struct InlineAppliance: Equatable, Sendable {
    /// The machine that it is, for people.
    public var name: String
    /// The ports of its two interfaces: towards the machine, and towards the network.
    public var inside: UInt16
    public var outside: UInt16
    /// Whether traffic goes around it when it fails; otherwise it stops.
    public var failsOpen: Bool
    /// Whether it is passed by.
    public var isBypassed: Bool
    /// After how long without a probe that came through it is said to fail; nil: it is not probed.
    public var patienceMilliseconds: UInt32?
    /// One that gets a copy of all that it gets, each at the same end; what that one sends goes nowhere.
    public var shadow: Shadow?
    /// The hardware addresses of its interfaces, of one that routes: what is to go through it is sent to them. Nil: it leaves hardware
    /// addresses as they are.
    public var routing: Stations?

    /// Six bytes each, of one station.
    public struct Stations: Equatable, Sendable {
        public var inside: [UInt8]
        public var outside: [UInt8]

        public init(inside: [UInt8], outside: [UInt8]) {
            self.inside = inside
            self.outside = outside
        }
    }

    public struct Shadow: Equatable, Sendable {
        public var inside: UInt16
        public var outside: UInt16

        public init(inside: UInt16, outside: UInt16) {
            self.inside = inside
            self.outside = outside
        }
    }

    /// The ports of its interfaces, and of its shadow's.
    public var ends: [UInt16] { [inside, outside] + (shadow.map { [$0.inside, $0.outside] } ?? []) }

    /// Shorter is what a busy computer keeps a healthy machine waiting.
    public static let patience: ClosedRange<UInt32> = 20...60_000
    public static let usualPatienceMilliseconds: UInt32 = 150

    public init(
        name: String, inside: UInt16, outside: UInt16, failsOpen: Bool = true, isBypassed: Bool = false,
        patienceMilliseconds: UInt32? = nil, routing: Stations? = nil
    ) {
        self.name = name
        self.inside = inside
        self.outside = outside
        self.failsOpen = failsOpen
        self.isBypassed = isBypassed
        self.patienceMilliseconds = patienceMilliseconds
        self.routing = routing
    }
}
