public import AgentProtocol
import CLinux
public import LinuxCalls

/// TAP devices that are there whether a machine runs or not: its monitor opens one by its name, and may do so again.
///
/// Source: Linux networking/tuntap.
public enum TapDevices {
    /// Makes a device, which is down, with the flags that the monitor opens it with: IFF_TAP, IFF_NO_PI, IFF_VNET_HDR.
    /// - Parameter owner: the user who may open it besides those with CAP_NET_ADMIN; nil: whoever may open `/dev/net/tun`.
    /// - Throws: EEXIST when there is a link of that name, EINVAL for what is no name, ENOENT without `/dev/net/tun`.
    public static func make(_ name: ByteString, owner: UInt32?) throws(LinuxError) {
        guard Links.isName(name) else { throw .invalidArgument }
        let device = try LinuxCalls.open("/dev/net/tun", .readWrite)
        do throws(LinuxError) {
            // And IFF_TUN_EXCL: not one that is there.
            try attach(device.number, to: name, flags | 0x8000)
        } catch {
            throw error == .busy || error == .invalidArgument ? .exists : error
        }
        // SAFETY: no address is passed. Until it stays, it goes with the descriptor.
        if let owner { unsafe try systemCall(__NR_ioctl, Int(device.number), Int(linux_TUNSETOWNER), Int(owner)) }
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_ioctl, Int(device.number), Int(linux_TUNSETPERSIST), 1)
    }

    /// Opens a device that is there. Each read takes, and each write gives, one frame behind `headerBytes` that say what is still to be
    /// done with it: sums to be made, a segment of up to 64 KiB to be cut. Who hands both on unchanged has nothing done to it on the way.
    /// - Throws: EBUSY when somebody has it open, EINVAL for what is no name.
    public static func open(_ name: ByteString) throws(LinuxError) -> FileDescriptor {
        guard Links.isName(name) else { throw .invalidArgument }
        let device = try LinuxCalls.open("/dev/net/tun", [.readWrite, .nonBlocking])
        try attach(device.number, to: name, flags)
        var size = Int32(headerBytes)
        // SAFETY: the kernel reads four bytes during the call.
        unsafe try withUnsafeMutablePointer(to: &size) { size throws(LinuxError) in
            _ = unsafe try systemCall(
                __NR_ioctl, Int(device.number), Int(linux_TUNSETVNETHDRSZ), Int(bitPattern: size))
        }
        // TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN; and TUN_F_USO4, TUN_F_USO6, which are there since Linux 6.2.
        do throws(LinuxError) { try offload(device.number, 0x6f) } catch { try offload(device.number, 0x0f) }
        return device
    }

    /// `struct virtio_net_hdr`. Source: virtio 1.3 §5.1.6.
    public static let headerBytes = 10
    private static let flags: UInt16 = 0x0002 | 0x1000 | 0x4000

    private static func attach(_ device: Int32, to name: ByteString, _ flags: UInt16) throws(LinuxError) {
        var request = linux_interface_request()
        request.flags = Int16(bitPattern: flags)
        // SAFETY: the name has at most fifteen bytes, and the structure is zeroes behind them; the kernel fills the structure during the call.
        unsafe try withUnsafeMutableBytes(of: &request) { bytes throws(LinuxError) in
            unsafe bytes.copyBytes(from: name.bytes)
            unsafe try systemCall(
                __NR_ioctl, Int(device), Int(linux_TUNSETIFF), Int(bitPattern: bytes.baseAddress))
        }
    }

    private static func offload(_ device: Int32, _ offloads: Int) throws(LinuxError) {
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_ioctl, Int(device), Int(linux_TUNSETOFFLOAD), offloads)
    }

    /// Takes a device away; the monitor that has it open finds it gone. One that is not there is no error.
    public static func remove(_ name: ByteString) throws(LinuxError) {
        var links = try Links()
        try links.remove(name)
    }
}
