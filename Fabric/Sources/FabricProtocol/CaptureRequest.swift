public import AgentProtocol

/// What is to be captured, as the arguments of a program.
public struct CaptureRequest: Sendable {
    public static let mostPlaces = 64
    public static let snapshotBytes: ClosedRange<UInt32> = 64...262_144

    public enum Form: String, Sendable {
        /// A capture's file.
        case pcapng
        /// A line for each frame.
        case text
    }

    /// A link of the fabric, and what it is called.
    public struct Place: Sendable {
        public var device: String
        public var name: ByteString
        public var description: ByteString
        /// Whether what arrives at the link is what the one called by the name has sent: so it is of a machine's end, and not of a
        /// network's bridge.
        public var arrivesFromIt: Bool

        public init(device: String, name: String, description: String, arrivesFromIt: Bool) {
            self.device = device
            self.name = ByteString(name)
            self.description = ByteString(description)
            self.arrivesFromIt = arrivesFromIt
        }
    }

    public var form: Form
    /// At most so many bytes of each frame are kept.
    public var snapshotBytes: UInt32
    /// After so many frames it ends; 0: it does not.
    public var mostFrames: UInt64
    /// After so long it ends; 0: it does not.
    public var milliseconds: UInt64
    public var filter: String
    public var places: [Place]

    public init(
        form: Form, snapshotBytes: UInt32, mostFrames: UInt64, milliseconds: UInt64, filter: String, places: [Place]
    ) {
        self.form = form
        self.snapshotBytes = snapshotBytes
        self.mostFrames = mostFrames
        self.milliseconds = milliseconds
        self.filter = filter
        self.places = places
    }

    public var arguments: [String] {
        [form.rawValue, "\(snapshotBytes)", "\(mostFrames)", "\(milliseconds)", filter]
            + places.flatMap { place in
                [
                    place.device, place.name.description, place.description.description,
                    place.arrivesFromIt ? "from" : "to",
                ]
            }
    }

    public init(_ arguments: [String]) throws(FabricFault) {
        guard arguments.count >= 9, (arguments.count - 5) % 4 == 0, (arguments.count - 5) / 4 <= Self.mostPlaces,
            let form = Form(rawValue: arguments[0]), let snapshotBytes = UInt32(arguments[1]),
            Self.snapshotBytes.contains(snapshotBytes), let mostFrames = UInt64(arguments[2]),
            let milliseconds = UInt64(arguments[3]), milliseconds < 1 << 40
        else { throw FabricFault("what is to be captured is not understood") }
        var places: [Place] = []
        for start in stride(from: 5, to: arguments.count, by: 4) {
            places.append(
                Place(
                    device: arguments[start], name: arguments[start + 1], description: arguments[start + 2],
                    arrivesFromIt: arguments[start + 3] == "from"))
        }
        self.init(
            form: form, snapshotBytes: snapshotBytes, mostFrames: mostFrames, milliseconds: milliseconds,
            filter: arguments[4], places: places)
    }
}
