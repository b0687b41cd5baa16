import AgentProtocol
import WireFormats

/// The fields of a JSON object, each of the kind that is wanted or a fault that names it.
struct ObjectReader {
    private let document: JSONValue
    private let what: String

    init(_ document: JSONValue, _ what: String, _ known: [String]) throws(FabricFault) {
        guard let members = document.members else { throw FabricFault("\(what) is \(document.kind), not an object") }
        for member in members where !known.contains(member.name) {
            throw FabricFault("\(what) has a field \"\(member.name)\" that is not known")
        }
        self.document = document
        self.what = what
    }

    var count: Int { document.members?.count ?? 0 }

    private func fault(_ name: String, _ wanted: String) -> FabricFault {
        FabricFault("\(name) of \(what) is not \(wanted)")
    }

    func text(_ name: String) throws(FabricFault) -> String {
        guard let text = document.text(name) else { throw fault(name, "a text") }
        return text
    }

    func boolean(_ name: String) throws(FabricFault) -> Bool {
        guard let boolean = document.boolean(name) else { throw fault(name, "true or false") }
        return boolean
    }

    /// Whether there is such a field that is not null.
    func has(_ name: String) -> Bool { document[name] != nil }

    func number<Number: FixedWidthInteger>(_ name: String, in range: ClosedRange<Number>) throws(FabricFault) -> Number
    {
        guard let integer = document.integer(name), let number = Number(exactly: integer), range.contains(number)
        else { throw fault(name, "a number from \(range.lowerBound) to \(range.upperBound)") }
        return number
    }

    /// None where there is no such field.
    func list(_ name: String) throws(FabricFault) -> [JSONValue] {
        guard let value = document[name] else { return [] }
        guard let elements = value.elements else { throw fault(name, "a list") }
        return elements
    }

    func texts(_ name: String) throws(FabricFault) -> [String] {
        var texts: [String] = []
        for element in try list(name) {
            guard let text = element.text else { throw fault(name, "a list of texts") }
            texts.append(text)
        }
        return texts
    }

    func addresses(_ name: String) throws(FabricFault) -> [IPAddress] {
        var addresses: [IPAddress] = []
        for text in try texts(name) {
            guard let address = IPAddress(text) else { throw fault(name, "a list of addresses") }
            addresses.append(address)
        }
        return addresses
    }

    func portNumbers(_ name: String) throws(FabricFault) -> [UInt16] {
        var numbers: [UInt16] = []
        for element in try list(name) {
            guard let number = element.integer.flatMap({ UInt16(exactly: $0) }) else {
                throw fault(name, "a list of ports' numbers")
            }
            numbers.append(number)
        }
        return numbers
    }

    func hardwareAddress(_ name: String) throws(FabricFault) -> [UInt8] {
        guard let bytes = HardwareAddress.bytes(try text(name)) else { throw fault(name, "a station's address") }
        return bytes
    }
}
