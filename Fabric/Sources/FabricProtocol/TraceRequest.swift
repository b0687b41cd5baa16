public import AgentProtocol

/// A packet that is to be sent in a machine's place, to see which way it takes, as the arguments of a program.
public struct TraceRequest: Equatable, Sendable {
    public static let milliseconds: ClosedRange<UInt64> = 1...3_600_000

    private static let outside = "outside"
    private static let misunderstood = FabricFault("what is to be traced is not understood")

    public enum Transport: String, Sendable {
        /// What begins a connection.
        case tcp
        /// A datagram.
        case udp
        /// What `ping` sends.
        case icmp
    }

    /// The number of the machine's port; nil: the computer that the fabric is in sends it to itself, as whoever asks for a published port.
    public var port: UInt16?
    public var transport: Transport
    /// The machine's own.
    public var station: [UInt8]
    /// Whom it hands packets for the destination.
    public var nextStation: [UInt8]
    public var source: IPAddress
    /// Of the source's family.
    public var destination: IPAddress
    /// 0 where the transport has none.
    public var destinationPort: UInt16
    /// For so long it is watched.
    public var milliseconds: UInt64
    /// What a datagram asks whoever answers for names; nil: nothing.
    public var question: NameQuestion?

    public init(
        port: UInt16?, transport: Transport, station: [UInt8], nextStation: [UInt8], source: IPAddress,
        destination: IPAddress, destinationPort: UInt16, milliseconds: UInt64
    ) {
        self.port = port
        self.transport = transport
        self.station = station
        self.nextStation = nextStation
        self.source = source
        self.destination = destination
        self.destinationPort = destinationPort
        self.milliseconds = milliseconds
    }

    public var arguments: [String] {
        [
            port.map { "\($0)" } ?? Self.outside, transport.rawValue, HardwareAddress.text(station),
            HardwareAddress.text(nextStation),
            source.description, destination.description, "\(destinationPort)", "\(milliseconds)",
        ] + (question.map { [$0.name, $0.isVersion6 ? "6" : "4"] } ?? [])
    }

    public init(_ arguments: [String]) throws(FabricFault) {
        guard arguments.count == 8 || arguments.count == 10 else { throw Self.misunderstood }
        let port = arguments[0] == Self.outside ? nil : UInt16(arguments[0])
        guard port.map(FabricPort.numbers.contains) ?? (arguments[0] == Self.outside),
            let transport = Transport(rawValue: arguments[1]), let station = HardwareAddress.bytes(arguments[2]),
            let nextStation = HardwareAddress.bytes(arguments[3]), let source = IPAddress(arguments[4]),
            let destination = IPAddress(arguments[5]), source.family == destination.family,
            let destinationPort = UInt16(arguments[6]), (transport == .icmp) == (destinationPort == 0),
            let milliseconds = UInt64(arguments[7]), Self.milliseconds.contains(milliseconds)
        else { throw Self.misunderstood }
        self.init(
            port: port, transport: transport, station: station, nextStation: nextStation, source: source,
            destination: destination, destinationPort: destinationPort, milliseconds: milliseconds)
        if arguments.count == 8 { return }
        guard transport == .udp, ["4", "6"].contains(arguments[9]),
            let question = NameQuestion(arguments[8], isVersion6: arguments[9] == "6")
        else { throw FabricFault("what is to be asked is not understood") }
        self.question = question
    }
}
