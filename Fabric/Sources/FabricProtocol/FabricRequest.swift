public import WireFormats

/// What a fabric can be asked for, as one JSON document: `{"change": {...}}`, `{"readiness": {"change": {...}, "milliseconds": ...}}`,
/// `{"report": {}}` or `{"end": {}}`.
///
/// The answer is an object; with `error` in it, in words, nothing was changed.
public enum FabricRequest: Equatable, Sendable {
    case change(FabricChange)
    /// The appliances that a change would put into wires are made ready for it, and nothing is changed. It is answered when they are, or
    /// with `error` when they are not after so long; others are answered meanwhile.
    case readiness(FabricChange, milliseconds: UInt32)
    case report
    /// Everything that it has made is taken away, and it ends.
    case end

    /// Whoever has gone is not waited for longer either.
    public static let mostMilliseconds: UInt32 = 180_000

    public init(parsing bytes: [UInt8]) throws(FabricFault) {
        let document: JSONValue
        do throws(JSONError) { document = try JSONParser.parse(bytes) } catch { throw FabricFault(error.description) }
        guard try ObjectReader(document, "the request", ["change", "readiness", "report", "end"]).count == 1 else {
            throw FabricFault("a fabric can be asked for one thing at a time")
        }
        if let change = document["change"] {
            self = .change(try FabricChange(change))
        } else if let readiness = document["readiness"] {
            self = try Self.readiness(readiness)
        } else if document["report"] != nil {
            self = .report
        } else if document["end"] != nil {
            self = .end
        } else {
            throw FabricFault("a fabric can be asked for a change, for readiness, for a report and to end")
        }
    }

    private static func readiness(_ document: JSONValue) throws(FabricFault) -> FabricRequest {
        let reader = try ObjectReader(document, "readiness", ["change", "milliseconds"])
        guard let change = document["change"], let milliseconds = document.integer("milliseconds"),
            (0...Int64(mostMilliseconds)).contains(milliseconds), reader.count == 2
        else { throw FabricFault("readiness is for a change, within 0 to \(mostMilliseconds) milliseconds") }
        return .readiness(try FabricChange(change), milliseconds: UInt32(milliseconds))
    }

    public var document: JSONValue {
        switch self {
        case .change(let change): .object([JSONMember("change", change.document)])
        case .readiness(let change, let milliseconds):
            .object([
                JSONMember(
                    "readiness",
                    .object([
                        JSONMember("change", change.document),
                        JSONMember("milliseconds", .integer(Int64(milliseconds))),
                    ]))
            ])
        case .report: .object([JSONMember("report", .object([]))])
        case .end: .object([JSONMember("end", .object([]))])
        }
    }
}
