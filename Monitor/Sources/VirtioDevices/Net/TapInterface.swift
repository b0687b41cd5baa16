import CLinux
public import LinuxCalls

/// A TAP interface of the host: each read takes, and each write gives, one Ethernet frame behind a 12-byte virtio header.
///
/// Source: the kernel's networking/tuntap; virtio 1.3 §5.1.6 for the header.
public struct TapInterface: ~Copyable {
    static let headerBytes = 12
    /// IFF_TAP, IFF_NO_PI, IFF_VNET_HDR.
    private static let neededFlags: UInt16 = 0x0002 | 0x1000 | 0x4000

    let descriptor: FileDescriptor
    /// Whether the kernel segments and joins UDP too (Linux 6.2).
    let hasUDPSegmentation: Bool

    /// Attaches to the interface of that name, which is made when it does not exist and this process may.
    public init(name: String) throws(NetError) {
        let bytes = Array(name.utf8)
        guard (1...15).contains(bytes.count), !bytes.contains(where: { $0 == 0x2f || $0 <= 0x20 }) else {
            throw .invalidName(name)
        }
        let descriptor: FileDescriptor
        do throws(LinuxError) { descriptor = try open("/dev/net/tun", [.readWrite, .nonBlocking]) } catch {
            throw .control(error)
        }
        var request = Self.named(name)
        request.flags = Int16(bitPattern: Self.neededFlags)
        do throws(LinuxError) { try Self.interfaceRequest(descriptor.number, linux_TUNSETIFF, &request) } catch {
            throw .attach(name: name, error)
        }
        let hasUDPSegmentation: Bool
        do throws(LinuxError) { hasUDPSegmentation = try Self.prepare(descriptor.number) } catch {
            throw .header(name: name, error)
        }
        self.descriptor = descriptor
        self.hasUDPSegmentation = hasUDPSegmentation
    }

    /// Takes over a descriptor that is attached already, with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR.
    public init(_ descriptor: consuming FileDescriptor) throws(NetError) {
        let number = descriptor.number
        var request = linux_interface_request()
        let hasUDPSegmentation: Bool
        do throws(LinuxError) {
            try Self.interfaceRequest(number, linux_TUNGETIFF, &request)
            try setNonBlocking(number)
            hasUDPSegmentation = try Self.prepare(number)
        } catch { throw .notTap(descriptor: number) }
        guard UInt16(bitPattern: request.flags) & Self.neededFlags == Self.neededFlags else {
            throw .notTap(descriptor: number)
        }
        self.descriptor = descriptor
        self.hasUDPSegmentation = hasUDPSegmentation
    }

    /// Gives the interface away, as it was opened.
    public consuming func takeDescriptor() -> FileDescriptor { descriptor }

    /// Takes anything that keeps frames apart, header included: for tests.
    package init(packetSocket: consuming FileDescriptor) {
        descriptor = packetSocket
        hasUDPSegmentation = false
    }

    /// Says what the guest can do with frames that it receives: `offloads` are the kernel's TUN_F bits.
    func setOffloads(_ offloads: UInt32) {
        // What the kernel does not know it refuses, and then leaves the frames plain, which every guest takes.
        _ = linux_system_call(
            Int(__NR_ioctl), Int(descriptor.number), Int(linux_TUNSETOFFLOAD), Int(offloads), 0, 0, 0)
    }

    /// The header's size, plain frames, and a try at UDP segmentation.
    private static func prepare(_ number: Int32) throws(LinuxError) -> Bool {
        var size = Int32(headerBytes)
        // SAFETY: the kernel reads four bytes during the call.
        unsafe try withUnsafeMutablePointer(to: &size) { pointer throws(LinuxError) in
            _ = unsafe try systemCall(__NR_ioctl, Int(number), Int(linux_TUNSETVNETHDRSZ), Int(bitPattern: pointer))
        }
        let trial = Int(NetOffload.checksum | NetOffload.udp4 | NetOffload.udp6)
        let result = linux_system_call(Int(__NR_ioctl), Int(number), Int(linux_TUNSETOFFLOAD), trial, 0, 0, 0)
        _ = linux_system_call(Int(__NR_ioctl), Int(number), Int(linux_TUNSETOFFLOAD), 0, 0, 0, 0)
        return result == 0
    }

    static func interfaceRequest(
        _ number: Int32, _ code: UInt, _ request: inout linux_interface_request
    ) throws(LinuxError) {
        // SAFETY: the kernel reads and fills the structure during the call.
        unsafe try withUnsafeMutablePointer(to: &request) { pointer throws(LinuxError) in
            _ = unsafe try systemCall(__NR_ioctl, Int(number), Int(code), Int(bitPattern: pointer))
        }
    }
}
