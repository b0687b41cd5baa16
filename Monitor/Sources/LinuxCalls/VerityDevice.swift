import CLinux

/// The kernel's device mapper, asked for one read-only device with a dm-verity target.
///
/// Requests are a `struct dm_ioctl` of 312 bytes: version at 0, size of everything at 12, start of the data at 16, number of
/// targets at 20, flags at 28, device number at 40, name at 48. The data of a table are a `struct dm_target_spec` of 40 bytes
/// (first sector, sectors, status, next, type) and the target's parameters as a text.
/// Source: Linux `include/uapi/linux/dm-ioctl.h`, `Documentation/admin-guide/device-mapper/verity.rst`.
public struct VerityDevice: ~Copyable {
    /// The ioctls' numbers; the whole are 0xc138fd00 and more.
    private enum Command: Int {
        case create = 0xc138_fd03
        case suspend = 0xc138_fd06
        case loadTable = 0xc138_fd09
        case tableStatus = 0xc138_fd0c
    }

    private static let requestBytes = 1024
    /// Where a target's parameters begin, and its status.
    private static let textOffset = 352
    /// "image" and "verity", as little-endian numbers: names are ended by zeroes.
    private static let name: UInt64 = 0x65_6761_6d69
    private static let type: UInt64 = 0x7974_6972_6576
    /// DM_READONLY_FLAG.
    private static let readOnly: UInt32 = 1

    private let control: FileDescriptor

    /// - Parameter control: `/dev/mapper/control`, open for reading and writing.
    public init(_ control: consuming FileDescriptor) { self.control = control }

    /// Makes the device, which is there when this returns.
    ///
    /// - Parameter parameters: those of dm-verity, at most 671 bytes.
    /// - Returns: the number in the device's name: `dm-N`.
    /// - Throws: EINVAL when the kernel knows no such target, or does not like its parameters.
    public func make(parameters: [UInt8], sectors: UInt64) throws(LinuxError) -> UInt32 {
        guard parameters.count < Self.requestBytes - Self.textOffset else { throw .invalidArgument }
        let created = try perform(.create)
        _ = try perform(.loadTable, parameters, sectors: sectors)
        // Without its flag, to suspend is to resume.
        _ = try perform(.suspend)
        // The minor number as the kernel packs it for user space: its low eight bits, and the others above bit 20.
        return UInt32(created[40]) | UInt32(created[42] & 0xf0) << 4 | UInt32(created[43]) << 12
    }

    /// Whether the target has found anything damaged: its status is `V` until then, and `C` from then on.
    public func isDamaged() throws(LinuxError) -> Bool {
        try perform(.tableStatus)[Self.textOffset] == UInt8(ascii: "C")
    }

    private func perform(
        _ command: Command, _ parameters: [UInt8] = [], sectors: UInt64 = 0
    ) throws(LinuxError) -> [UInt8] {
        var request = [UInt8](repeating: 0, count: Self.requestBytes)
        for index in parameters.indices { request[Self.textOffset &+ index] = parameters[index] }
        let number = control.number
        // SAFETY: all offsets lie in the request, which has as many bytes as it tells the kernel; the kernel reads and
        // writes it during the call.
        unsafe try request.withUnsafeMutableBufferPointer { buffer throws(LinuxError) in
            let request = UnsafeMutableRawBufferPointer(buffer)
            unsafe request.storeBytes(of: 4, toByteOffset: 0, as: UInt32.self)
            unsafe request.storeBytes(of: UInt32(Self.requestBytes), toByteOffset: 12, as: UInt32.self)
            unsafe request.storeBytes(of: 312, toByteOffset: 16, as: UInt32.self)
            unsafe request.storeBytes(of: command == .loadTable ? 1 : 0, toByteOffset: 20, as: UInt32.self)
            unsafe request.storeBytes(
                of: command == .tableStatus ? 0 : Self.readOnly, toByteOffset: 28, as: UInt32.self)
            unsafe request.storeBytes(of: Self.name, toByteOffset: 48, as: UInt64.self)
            // Only a table's; elsewhere it is not looked at.
            unsafe request.storeBytes(of: sectors, toByteOffset: 320, as: UInt64.self)
            unsafe request.storeBytes(of: Self.type, toByteOffset: 336, as: UInt64.self)
            _ = unsafe try systemCall(
                __NR_ioctl, Int(number), command.rawValue, Int(bitPattern: request.baseAddress))
        }
        return request
    }
}
