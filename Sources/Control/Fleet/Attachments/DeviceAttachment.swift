import AgentProtocol
import FoundationEssentials
import HostFiles

/// A disk or network interface that has come to a machine while it ran, until it is taken away or the machine boots anew.
public struct DeviceAttachment: Codable, Equatable, Sendable {
    public enum Device: Codable, Equatable, Sendable {
        case disk(MachineSpecification.Disk)
        /// Mounted in the guest.
        case volume(VolumeAttachment)
        case interface(MachineInterface)
    }

    private static let prefix = "attached"

    /// The monitor's name for it, and a disk's serial number in the guest.
    var id: String
    public var device: Device
    /// The guest's: `vdc`, `eth1`, or what the interface's `name=` says. Nil as long as it is not there.
    public var guestName: String?
    /// Where a device is made for an interface.
    var networkNumber: Int?
    /// Whether the guest's default route leads through it; nil is no.
    var hasDefaultRoute: Bool?
    /// An interface's address.
    public var hardwareAddress: String?
    /// The monitor's place for it. Nil as long as it is not there, and in what an earlier version has written down.
    var slot: Int?

    init(_ number: Int, _ device: Device) {
        id = "\(Self.prefix)\(number)"
        self.device = device
    }

    /// A description of what others have written down; see `isOwn`.
    init(id: String, device: Device, guestName: String, slot: Int) {
        self.id = id
        self.device = device
        self.guestName = guestName
        self.slot = slot
    }

    /// What its name is made of; nil for other names.
    var number: Int? { Self.number(id) }

    /// Whether it is a name as they are given here.
    static func isOwn(_ id: String) -> Bool { number(id).map { id == "\(prefix)\($0)" } ?? false }

    private static func number(_ id: String) -> Int? {
        guard id.hasPrefix(prefix), let number = UInt8(id.dropFirst(prefix.utf8.count)) else { return nil }
        return Int(number)
    }

    public var interface: MachineInterface? {
        guard case .interface(let interface) = device else { return nil }
        return interface
    }

    /// Whether its device is in the fabric.
    var isInFabric: Bool { interface?.network.isInFabric ?? false }

    public var disk: MachineSpecification.Disk? {
        switch device {
        case .disk(let disk): disk
        case .volume(let volume): .init(path: volume.diskPath, isReadOnly: volume.isReadOnly)
        case .interface: nil
        }
    }

    /// As the machine's own interfaces are.
    public var assignedInterface: AssignedInterface? {
        guard case .interface(let interface) = device, let hardwareAddress else { return nil }
        return AssignedInterface(
            interface: interface, place: guestName ?? id, ownNetwork: networkNumber.map(OwnNetwork.init),
            hardwareAddress: hardwareAddress)
    }

    /// As the monitor has it: what describes a drive, or an interface.
    /// - Parameters:
    ///   - name: what limits know it by; empty: those that hold for all.
    ///   - isOpenedByName: whether the monitor makes an interface's device; otherwise it comes open.
    func monitorFields(_ limits: MachineLimits, limitedAs name: String, isOpenedByName: Bool) -> String? {
        var fields: [String] = []
        if let disk {
            fields = [
                "\"drive_id\":\"\(id)\"", "\"path_on_host\":\(MonitorConfiguration.quoted(disk.path))",
                "\"is_read_only\":\(disk.isReadOnly)",
                "\"cache_type\":\"\(disk.isReadOnly ? "Unsafe" : "Writeback")\"",
            ]
            if let limiter = limits.diskLimiter(name) { fields.append("\"rate_limiter\":\(limiter)") }
        } else if let interface = assignedInterface, let device = interface.hostDevice {
            fields = [
                "\"iface_id\":\"\(id)\"", "\"host_dev_name\":\(MonitorConfiguration.quoted(device))",
                "\"guest_mac\":\"\(interface.hardwareAddress)\"",
            ]
            if isOpenedByName, let unit = interface.interface.maximumTransmissionUnit {
                fields.append("\"mtu\":\(unit)")
            }
            if isOpenedByName, let address = interface.hostAddress { fields.append("\"host_address\":\"\(address)\"") }
            if let limiter = limits.receiveLimiter(name) { fields.append("\"rx_rate_limiter\":\(limiter)") }
            if let limiter = limits.transmitLimiter(name) { fields.append("\"tx_rate_limiter\":\(limiter)") }
        }
        return fields.isEmpty ? nil : fields.joined(separator: ",")
    }

    /// What the guest tells it from others by.
    var forAgent: AttachedDevice {
        let bytes = (hardwareAddress ?? "").split(separator: ":").compactMap { UInt8($0, radix: 16) }
        return bytes.count == Limits.hardwareAddressBytes
            ? .interface(hardwareAddress: bytes) : .disk(serial: ByteString(id))
    }

    /// Makes another file its disk. It is no volume's any more.
    mutating func takeDisk(_ path: String) {
        if let disk { device = .disk(.init(path: path, isReadOnly: disk.isReadOnly)) }
    }

    /// What people may call it.
    func isCalled(_ name: String) -> Bool {
        if name == id || name == guestName || name == guestName.map({ "/dev/\($0)" }) { return true }
        return switch device {
        case .disk(let disk): disk.path == name
        case .volume(let volume): volume.name == name || volume.target == name
        case .interface: false
        }
    }
}

/// What has been attached, in a file of its own beside the machine's record: it is written by who attaches, holding the lock of
/// the limits, and removed by the machine's owner before a guest boots.
extension MachineStore {
    private static let attachmentsFile = "attachments.json"
    private static let mostAttachmentBytes = 1 << 20

    /// None of a machine that does not run.
    public func attachments(of record: MachineRecord) -> [DeviceAttachment] {
        guard record.state == .running || record.state == .paused,
            let bytes = try? folder(record.id).appending(Self.attachmentsFile).readWhole(
                limit: Self.mostAttachmentBytes)
        else { return [] }
        return (try? JSONDecoder().decode([DeviceAttachment].self, from: Data(bytes))) ?? []
    }

    func write(_ attachments: [DeviceAttachment], of record: MachineRecord) throws(FleetError) {
        let path = folder(record.id).appending(Self.attachmentsFile)
        if attachments.isEmpty { return removeAttachments(of: record) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let data = try? encoder.encode(attachments) else {
            throw FleetError(.unusableFolder, "what is attached to \(record.name) cannot be written as JSON")
        }
        try files { () throws(HostFileError) in try path.replaceQuickly([UInt8](data)) }
    }

    /// A guest that boots has none.
    func removeAttachments(of record: MachineRecord) {
        try? folder(record.id).appending(Self.attachmentsFile).removeFile()
    }
}
