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
        let device = try open("/dev/net/tun", .readWrite)
        // And IFF_TUN_EXCL: not one that is there.
        var request = linux_interface_request()
        request.flags = Int16(bitPattern: 0x0002 | 0x1000 | 0x4000 | 0x8000)
        // SAFETY: the name has at most fifteen bytes, and the structure is zeroes behind them; the kernel fills the structure during the call.
        unsafe try withUnsafeMutableBytes(of: &request) { bytes throws(LinuxError) in
            unsafe bytes.copyBytes(from: name.bytes)
            do throws(LinuxError) {
                unsafe try systemCall(
                    __NR_ioctl, Int(device.number), Int(linux_TUNSETIFF), Int(bitPattern: bytes.baseAddress))
            } catch {
                throw error == .busy || error == .invalidArgument ? .exists : error
            }
        }
        // SAFETY: no address is passed. Until it stays, it goes with the descriptor.
        if let owner { unsafe try systemCall(__NR_ioctl, Int(device.number), Int(linux_TUNSETOWNER), Int(owner)) }
        // SAFETY: no address is passed.
        unsafe try systemCall(__NR_ioctl, Int(device.number), Int(linux_TUNSETPERSIST), 1)
    }

    /// Takes a device away; the monitor that has it open finds it gone. One that is not there is no error.
    public static func remove(_ name: ByteString) throws(LinuxError) {
        var links = try Links()
        try links.remove(name)
    }
}
