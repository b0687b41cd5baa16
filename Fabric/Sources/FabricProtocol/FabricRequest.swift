public import WireFormats

/// What a fabric can be asked for, as one JSON document: `{"change": {...}}`, `{"report": {}}` or `{"end": {}}`.
///
/// The answer is an object; with `error` in it, in words, nothing was changed.
public enum FabricRequest: Equatable, Sendable {
    case change(FabricChange)
    case report
    /// Everything that it has made is taken away, and it ends.
    case end

    public init(parsing bytes: [UInt8]) throws(FabricFault) {
        let document: JSONValue
        do throws(JSONError) { document = try JSONParser.parse(bytes) } catch { throw FabricFault(error.description) }
        guard try ObjectReader(document, "the request", ["change", "report", "end"]).count == 1 else {
            throw FabricFault("a fabric can be asked for one thing at a time")
        }
        if let change = document["change"] {
            self = .change(try FabricChange(change))
        } else if document["report"] != nil {
            self = .report
        } else if document["end"] != nil {
            self = .end
        } else {
            throw FabricFault("a fabric can be asked for a change, for a report and to end")
        }
    }

    public var document: JSONValue {
        switch self {
        case .change(let change): .object([JSONMember("change", change.document)])
        case .report: .object([JSONMember("report", .object([]))])
        case .end: .object([JSONMember("end", .object([]))])
        }
    }
}
