/// What a machine may use of this computer, as far as that can be changed while it runs. What is nil or empty is not limited.
public struct MachineLimits: Codable, Equatable, Sendable {
    /// Thousandths of a processor's time; the rest of the second its processors stand still.
    public var cpuThousandths: Int?
    /// Against other machines, when there is not enough for all.
    public var cpuShares: Int?
    /// What the guest has of its memory; the rest is given back to this computer.
    public var memoryMebibytes: Int?
    public var diskBandwidth = DeviceLimits()
    public var diskOperations = DeviceLimits()
    /// To the guest.
    public var networkIn = DeviceLimits()
    public var networkInPackets = DeviceLimits()
    /// From the guest.
    public var networkOut = DeviceLimits()
    public var networkOutPackets = DeviceLimits()

    public init() {}

    public static let shareRange = 2...262_144
    /// Source: Linux, Documentation/admin-guide/cgroup-v2.rst: a millisecond of each period of 100.
    private static let leastThousandths = 10

    public var isEmpty: Bool { self == MachineLimits() }

    /// Reads `0.5` or `2`: processors' time. A whole number of processors is no limit, for a machine has no more.
    public mutating func setProcessors(_ text: String, of processors: Int) throws(FleetError) {
        if text == "none" || text == "0" {
            cpuThousandths = nil
            return
        }
        guard let thousandths = Self.thousandths(text), thousandths >= Self.leastThousandths else {
            throw FleetError(
                .invalidSetting, "\"\(text)\" processors cannot be given; write 2, 0.5 (at least 0.01) or none (--cpus)"
            )
        }
        guard thousandths <= processors * 1000 else {
            throw FleetError(
                .invalidSetting,
                "the machine has \(processors == 1 ? "one processor" : "\(processors) processors") and can use no more than that; --cpus takes \(processors) at most"
            )
        }
        cpuThousandths = thousandths == processors * 1000 ? nil : thousandths
    }

    /// `1.5` is 1500. Nil for what is no such number.
    public static func thousandths(_ text: String) -> Int? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2e }), let number = Double(text),
            number <= 1000
        else { return nil }
        return Int((number * 1000).rounded())
    }

    public mutating func setShares(_ text: String) throws(FleetError) {
        if text == "none" || text == "0" {
            cpuShares = nil
            return
        }
        guard let shares = Int(text), Self.shareRange.contains(shares) else {
            throw FleetError(
                .invalidSetting,
                "\"\(text)\" shares cannot be given; \(Self.shareRange.lowerBound) to \(Self.shareRange.upperBound) can, and 1024 is what a machine has without (--cpu-shares)"
            )
        }
        cpuShares = shares
    }

    /// A device is gone, and the next one of its name is another one.
    mutating func forget(_ device: String) {
        diskBandwidth.forget(device)
        diskOperations.forget(device)
        networkIn.forget(device)
        networkInPackets.forget(device)
        networkOut.forget(device)
        networkOutPackets.forget(device)
    }

    /// Reads `[DEVICE=]RATE[,burst=AMOUNT]`.
    public mutating func set(
        _ kind: WritableKeyPath<MachineLimits, DeviceLimits>, _ unit: RateLimit.Unit, _ text: String, option: String,
        devices: LimitedDevices
    ) throws(FleetError) {
        var device: String?
        var rest = text
        if let end = text.firstIndex(of: "="), !text[..<end].contains(",") {
            device = try devices.name(String(text[..<end]), option: option)
            rest = String(text[text.index(after: end)...])
        } else if devices.names.isEmpty {
            throw FleetError(.invalidSetting, "the machine has no \(devices.kind) that could be limited (\(option))")
        }
        self[keyPath: kind].set(try RateLimit(parsing: rest, unit, option: option), of: device)
    }

    /// What can be known without the machine.
    func check(_ specification: MachineSpecification) throws(FleetError) {
        if let memoryMebibytes { try specification.checkMemory(memoryMebibytes) }
    }
}

/// The devices that limits can name, each by what the guest calls it.
public struct LimitedDevices: Sendable {
    /// In words.
    let kind: String
    /// What people say, and what is written down.
    let names: [(said: [String], kept: String)]

    /// The root's first.
    public static func disks(
        of specification: MachineSpecification, attached: [DeviceAttachment] = []
    ) -> LimitedDevices {
        var names: [(said: [String], kept: String)] = [(["root", "vda", "/dev/vda"], "vda")]
        for index in specification.allDisks.indices {
            let device = MonitorConfiguration.device(index)
            let name = String(device.dropFirst(5))
            names.append(([name, device], name))
        }
        for attachment in attached where attachment.disk != nil {
            guard let name = attachment.guestName else { continue }
            names.append(([name, "/dev/\(name)"], name))
        }
        return LimitedDevices(kind: "disk", names: names)
    }

    public static func interfaces(
        of specification: MachineSpecification, attached: [DeviceAttachment] = []
    ) -> LimitedDevices {
        LimitedDevices(
            kind: "network interface",
            names: specification.interfaces.enumerated().filter { $0.element.network != .none }.map {
                place, interface in
                ([interface.name ?? "eth\(place)", "eth\(place)"], "eth\(place)")
            }
                + attached.filter { $0.disk == nil }.compactMap { $0.guestName.map { ([$0], $0) } })
    }

    /// As they are written down.
    public var kept: [String] { names.map(\.kept) }

    func name(_ text: String, option: String) throws(FleetError) -> String {
        if let found = names.first(where: { $0.said.contains(text) }) { return found.kept }
        let known = names.compactMap(\.said.first).joined(separator: ", ")
        throw FleetError(
            .invalidSetting,
            "the machine has no \(kind) \"\(text)\"; "
                + (known.isEmpty ? "it has none at all" : "it has \(known)") + " (\(option))")
    }
}
