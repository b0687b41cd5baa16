import FabricProtocol
import WireFormats

/// What becomes of frames in the wire of a machine's interface, or between two networks, as it is written down and shown.
public struct WireImpairment: Codable, Equatable, Sendable {
    /// What becomes of those that go one way.
    public struct Way: Codable, Equatable, Sendable {
        /// How much later each arrives, and by how much that varies.
        public var delayMicroseconds: UInt32 = 0
        public var jitterMicroseconds: UInt32 = 0
        /// Of a hundred.
        public var lossPercent: Double = 0
        public var duplicatePercent: Double = 0
        /// 0: as many as come.
        public var rateKilobitsPerSecond: UInt32 = 0

        public init() {}

        public var isPlain: Bool { self == Way() }

        /// In the fabric's terms; what is more than there can be is the most.
        fileprivate var fabricWay: Impairment.Way {
            func share(_ percent: Double) -> UInt32 {
                UInt32(max(0, min(Double(Impairment.Way.mostMillipercent), (percent * 1000).rounded())))
            }
            var way = Impairment.Way()
            way.delayMicroseconds = min(delayMicroseconds, Impairment.Way.mostDelayMicroseconds)
            way.jitterMicroseconds = min(jitterMicroseconds, way.delayMicroseconds)
            way.lossMillipercent = share(lossPercent)
            way.duplicateMillipercent = share(duplicatePercent)
            way.kilobitsPerSecond = min(rateKilobitsPerSecond, Impairment.Way.mostKilobitsPerSecond)
            return way
        }
    }

    /// What is sent to the machine, or to the first network.
    public var toMachine = Way()
    /// What it sends, or is sent to the second network.
    public var toNetwork = Way()

    public init() {}

    public var isPlain: Bool { toMachine.isPlain && toNetwork.isPlain }

    var impairment: Impairment {
        var impairment = Impairment()
        impairment.toMachine = toMachine.fabricWay
        impairment.toNetwork = toNetwork.fabricWay
        return impairment
    }
}

/// What has become of frames in a wire that is impaired, since its process began.
public struct StretchState: Codable, Equatable, Sendable {
    public struct Way: Codable, Equatable, Sendable {
        /// That have come.
        public var frames: Int64
        /// As was to be.
        public var lost: Int64
        public var duplicated: Int64
        /// There was no room for them.
        public var dropped: Int64
        public var waiting: Int64

        init(_ document: JSONValue?) {
            frames = document?.integer("frames") ?? 0
            lost = document?.integer("lost") ?? 0
            duplicated = document?.integer("duplicated") ?? 0
            dropped = document?.integer("dropped") ?? 0
            waiting = document?.integer("waiting") ?? 0
        }
    }

    /// Whether what goes by is impaired now; otherwise its process has ended, and another one is about to begin.
    public var isInLine: Bool
    public var toMachine: Way
    public var toNetwork: Way

    init(_ document: JSONValue) {
        isInLine = document.boolean("is_in_line") ?? false
        toMachine = Way(document["to_machine"])
        toNetwork = Way(document["to_network"])
    }
}

extension MachineFleet {
    /// Changes what becomes of frames in a wire: of a machine that runs at once, and whenever it begins again.
    /// - Parameters:
    ///   - target: a machine, or `MACHINE:INTERFACE`.
    ///   - change: from what is to what is to be.
    /// - Throws: leaving everything as it was.
    public func impair(
        _ target: String, _ change: (inout WireImpairment) throws(FleetError) -> Void
    ) throws(FleetError) {
        try withLines { lines throws(FleetError) in
            let (record, interface) = try lines.interface(target)
            try lines.impair(record, interface.wire ?? "", change)
        }
    }

    /// Changes what becomes of frames between two networks.
    /// - Parameter change: from what is to what is to be, and which network is the first.
    /// - Throws: leaving everything as it was.
    public func impair(
        between one: String, and other: String,
        _ change: (inout WireImpairment, _ first: String) throws(FleetError) -> Void
    ) throws(FleetError) {
        try withLines { lines throws(FleetError) in
            guard case .between(let networks) = try lines.site(between: one, and: other) else { return }
            try lines.impair(between: networks) { impairment, passage throws(FleetError) in
                try change(&impairment, passage.networks[0])
            }
        }
    }

    /// What a machine, or `MACHINE:INTERFACE`, means.
    public func wire(_ target: String) throws(FleetError) -> (machine: String, place: String) {
        let (record, interface) = try Lines(store: store, records: store.list()).interface(target)
        return (record.name, interface.guestName)
    }
}
