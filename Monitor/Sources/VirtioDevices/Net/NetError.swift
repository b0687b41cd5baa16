import CLinux
public import LinuxCalls

/// Why a network device could not be made. Host faults.
public enum NetError: Error, Equatable, Sendable {
    /// /dev/net/tun cannot be opened.
    case control(LinuxError)
    /// The interface cannot be attached to.
    case attach(name: String, LinuxError)
    /// The name has no bytes, more than 15, or a slash or blank.
    case invalidName(String)
    /// A descriptor that was handed in is no TAP, or lacks IFF_NO_PI or IFF_VNET_HDR.
    case notTap(descriptor: Int32)
    /// The interface does not take the header that virtio wants.
    case header(name: String, LinuxError)
    /// The interface cannot be given its address.
    case address(name: String, LinuxError)
}

extension NetError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .control(let error) where error.number == ENOENT || error.number == ENODEV || error.number == ENXIO:
            "/dev/net/tun is not there: load the tun module"
        case .control(let error):
            "/dev/net/tun: \(error); let this user read and write it"
        case .attach(let name, let error) where error.number == EPERM || error.number == EACCES:
            "host_dev_name \"\(name)\": \(error); as root, make it for this user once: "
                + "ip tuntap add dev \(name) mode tap user USER vnet_hdr"
        case .attach(let name, let error) where error.number == EBUSY:
            "host_dev_name \"\(name)\": another process uses it; name another interface, or end that process"
        case .attach(let name, let error) where error.number == EINVAL:
            "host_dev_name \"\(name)\" is there, but is no TAP interface with a single queue; name another, or remove it: "
                + "ip link delete \(name)"
        case .attach(let name, let error): "host_dev_name \"\(name)\": \(error)"
        case .invalidName(let name):
            "host_dev_name \"\(name)\": an interface's name has 1 to 15 bytes, none of them a slash or a blank"
        case .notTap(let descriptor):
            "descriptor \(descriptor) is no TAP interface with IFF_NO_PI and IFF_VNET_HDR; open it with these flags"
        case .header(let name, let error):
            "host_dev_name \"\(name)\": the kernel refuses a 12-byte packet header: \(error)"
        case .address(let name, let error) where error.number == EPERM || error.number == EACCES:
            "host_address of \"\(name)\": \(error); as root, give it the address before, and leave host_address out"
        case .address(let name, let error): "host_address of \"\(name)\": \(error)"
        }
    }
}
