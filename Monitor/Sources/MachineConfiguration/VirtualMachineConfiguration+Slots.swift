public import WireFormats

/// Devices that come and go while the machine runs.
extension VirtualMachineConfiguration {
    mutating func parseSlots(_ value: JSONValue) throws(ConfigurationError) {
        let reader = try ObjectReader(
            value, path: "hot-plug", known: ["slots", "drives", "network-interfaces"])
        slotCount = Int(try reader.requiredInteger("slots", 0...Int64(Self.maximumDevices)))
        for (index, element) in try reader.list("drives").enumerated() {
            let (slot, rest) = try slot(element, path: "hot-plug.drives[\(index)]")
            let drive = try Drive(rest, path: "hot-plug.drives[\(index)]")
            try Self.refuseSocket(drive, path: "hot-plug.drives[\(index)]")
            attached.append(Attached(slot: slot, device: .drive(drive)))
        }
        for (index, element) in try reader.list("network-interfaces").enumerated() {
            let path = "hot-plug.network-interfaces[\(index)]"
            let (slot, rest) = try slot(element, path: path)
            attached.append(Attached(slot: slot, device: .interface(try NetworkInterface(rest, path: path))))
        }
    }

    /// The slot that an element names, and the rest of it.
    private func slot(_ value: JSONValue, path: String) throws(ConfigurationError) -> (Int, JSONValue) {
        guard case .object(let members) = value else {
            throw .invalid(field: path, found: value.described, wanted: "an object")
        }
        guard let number = value["slot"]?.integer, number >= 0, number < slotCount,
            !attached.contains(where: { $0.slot == Int(number) })
        else {
            throw .invalid(
                field: path + ".slot", found: value["slot"]?.described ?? "nothing",
                wanted: "the number of a slot of its own, from 0")
        }
        return (Int(number), .object(members.filter { $0.name != "slot" }))
    }

    // MARK: What is attached later

    /// Reads a drive as a request describes it.
    public static func drive(_ value: JSONValue) throws(ConfigurationError) -> Drive {
        let drive = try Drive(value, path: "drive")
        try refuseSocket(drive, path: "drive")
        return drive
    }

    private static func refuseSocket(_ drive: Drive, path: String) throws(ConfigurationError) {
        guard let socket = drive.socket else { return }
        throw .invalid(
            field: path + ".socket", found: "\"\(socket)\"",
            wanted: "no such field: a drive of another process cannot come while the machine runs")
    }

    /// The same for an interface.
    public static func interface(_ value: JSONValue) throws(ConfigurationError) -> NetworkInterface {
        try NetworkInterface(value, path: "interface")
    }
}
