import WireFormats

/// A device that comes or goes while the guest runs, by what the guest can tell it from others.
public enum AttachedDevice: Equatable, Sendable {
    /// A virtio disk by its serial number.
    case disk(serial: ByteString)
    /// An interface by its address, 6 bytes.
    case interface(hardwareAddress: [UInt8])

    func encode(into writer: inout LittleEndianWriter) {
        switch self {
        case .disk(let serial):
            writer.write(UInt8(1))
            writer.write(serial)
        case .interface(let address):
            writer.write(UInt8(2))
            writer.writeBytes(address)
        }
    }

    init(from reader: inout MessageReader) {
        let kind = reader.integer(UInt8.self)
        if kind != 1, kind != 2 { reader.fail(.outOfBounds(.kind)) }
        self =
            kind == 2
            ? .interface(hardwareAddress: reader.bytes(Limits.hardwareAddressBytes))
            : .disk(serial: reader.word(.device, atMost: Limits.serialBytes))
    }
}

/// What the guest is to make of a device that has come.
public struct Attachment: Equatable, Sendable {
    public var device: AttachedDevice
    /// Of a disk; what they have as their source is not looked at.
    public var mounts: [Mount]
    /// Of an interface, at most one, whose name is not looked at.
    public var interfaces: [Interface]

    public init(_ device: AttachedDevice, mounts: [Mount] = [], interfaces: [Interface] = []) {
        self.device = device
        self.mounts = mounts
        self.interfaces = interfaces
    }

    func encode(into writer: inout LittleEndianWriter) {
        device.encode(into: &writer)
        writer.writeList(mounts) { $1.encode(into: &$0) }
        writer.writeInterfaces(interfaces)
    }

    init(from reader: inout MessageReader) {
        device = AttachedDevice(from: &reader)
        mounts = reader.list(.mounts, atMost: Limits.mounts) { Mount(from: &$0) }
        interfaces = reader.interfaces()
    }
}

/// A device that is to go.
public struct Detachment: Equatable, Sendable {
    public var device: AttachedDevice
    /// Whether it goes although it is in use.
    public var isForced: Bool

    public init(_ device: AttachedDevice, isForced: Bool = false) {
        self.device = device
        self.isForced = isForced
    }

    func encode(into writer: inout LittleEndianWriter) {
        device.encode(into: &writer)
        writer.write(UInt8(isForced ? 1 : 0))
    }

    init(from reader: inout MessageReader) {
        device = AttachedDevice(from: &reader)
        isForced = reader.boolean()
    }
}
