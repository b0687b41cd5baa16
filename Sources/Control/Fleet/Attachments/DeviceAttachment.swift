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

    /// The monitor's name for it, and a disk's serial number in the guest.
    var id: String
    public var device: Device
    /// The guest's: `vdc`, `eth1`, or what the interface's `name=` says. Nil as long as it is not there.
    public var guestName: String?
    /// Where a device is made for an interface.
    var networkNumber: Int?
    /// An interface's address.
    public var hardwareAddress: String?

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

    /// What the guest tells it from others by.
    var forAgent: AttachedDevice {
        let bytes = (hardwareAddress ?? "").split(separator: ":").compactMap { UInt8($0, radix: 16) }
        return bytes.count == Limits.hardwareAddressBytes
            ? .interface(hardwareAddress: bytes) : .disk(serial: ByteString(id))
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
