public import WireFormats

/// A whole machine from a file: each section is what the request of that name would have as its body.
extension APIService {
    /// Why a file describes no machine.
    public struct FileFault: Error, CustomStringConvertible {
        public let description: String
    }

    /// In the order in which they are applied: what others refer to comes first.
    private static let sections: [(name: String, path: String, identifier: String?)] = [
        ("logger", "logger", nil), ("metrics", "metrics", nil), ("machine-config", "machine-config", nil),
        ("boot-source", "boot-source", nil), ("cpu-config", "cpu-config", nil), ("drives", "drives", "drive_id"),
        ("network-interfaces", "network-interfaces", "iface_id"), ("vsock", "vsock", nil),
        ("balloon", "balloon", nil), ("mmds-config", "mmds/config", nil), ("entropy", "entropy", nil),
        ("pmem", "pmem", "id"), ("memory-hotplug", "hotplug/memory", nil),
    ]

    /// Takes over a machine that was made of such a file already, and that has sections of its own beside.
    /// - Parameter isPaused: whether it stands still.
    public func adopt(_ document: JSONValue, isPaused: Bool) {
        kept = KeptConfiguration(ofFile: document)
        state = isPaused ? .paused : .running
    }

    /// Takes over what the file's bytes describe.
    public func configure(_ bytes: [UInt8]) throws(FileFault) {
        let document: JSONValue
        do throws(JSONShapeError) { document = try JSONParser.parseFree(bytes) } catch {
            throw FileFault(description: "Invalid JSON: \(error)")
        }
        guard let members = document.members else {
            throw FileFault(description: "Invalid JSON: \"the file\" holds no object")
        }
        for member in members where !Self.sections.contains(where: { $0.name == member.name }) {
            // The original skips what it does not know here; a machine that lacks what was asked for is worse.
            throw FileFault(description: "Invalid JSON: this monitor does not know the section `\(member.name)`")
        }
        guard document["boot-source"] != nil else {
            throw FileFault(description: "Invalid JSON: missing field `boot-source`")
        }
        for section in Self.sections {
            guard let value = document[section.name] else { continue }
            guard let identifier = section.identifier else {
                try apply(section.path, section.name == "cpu-config" ? template(value) : value)
                continue
            }
            guard let elements = value.elements else {
                throw FileFault(description: "Invalid JSON: `\(section.name)` is not a list")
            }
            for element in elements {
                try apply(section.path + "/" + (element[identifier]?.text ?? "_"), element)
            }
        }
    }

    /// The template for processors lies in a file of its own, as a rule.
    private func template(_ value: JSONValue) throws(FileFault) -> JSONValue {
        guard let path = value.text else { return value }
        let bytes: [UInt8]
        do throws(HostRefusal) { bytes = try control.contents(of: path) } catch {
            throw FileFault(description: "cpu-config \"\(path)\": \(error)")
        }
        do throws(JSONShapeError) { return try JSONParser.parseFree(bytes) } catch {
            throw FileFault(description: "cpu-config \"\(path)\": \(error)")
        }
    }

    /// Starts the machine that has been described.
    public func startFromFile() throws(FileFault) {
        do throws(Fault) { try start() } catch { throw FileFault(description: error.message) }
    }

    private func apply(_ path: String, _ value: JSONValue) throws(FileFault) {
        switch Operation.route(.put, "/" + path) {
        case .fault(let message): throw FileFault(description: message)
        case .operation(let operation, let resource):
            do throws(Fault) {
                try apply(operation, resource: resource, value)
            } catch { throw FileFault(description: error.message) }
        }
    }
}
