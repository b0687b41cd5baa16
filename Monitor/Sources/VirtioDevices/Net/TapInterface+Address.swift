import CLinux
import LinuxCalls

extension TapInterface {
    private enum InterfaceRequest {
        static let getFlags: UInt = 0x8913
        static let setFlags: UInt = 0x8914
        static let setAddress: UInt = 0x8916
        static let setMask: UInt = 0x891c
    }

    /// Gives the interface an IPv4 address of the host's and brings it up: for one that was made for this machine and
    /// goes when the machine does.
    ///
    /// Source: netdevice(7).
    /// - Parameters:
    ///   - address: four bytes, in network order.
    ///   - prefixLength: at most 32.
    public static func setAddress(
        _ address: [UInt8], prefixLength: UInt8, ofInterface name: String
    ) throws(NetError) {
        do throws(LinuxError) {
            // AF_INET, SOCK_DGRAM | SOCK_CLOEXEC. SAFETY: no address is passed.
            let number = unsafe try systemCall(__NR_socket, 2, 2 | 0x80000, 0)
            let socket = FileDescriptor(owning: Int32(truncatingIfNeeded: number))
            let mask = prefixLength == 0 ? 0 : UInt32.max << (32 - UInt32(min(prefixLength, 32)))
            let maskBytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: mask >> $0) }
            for (code, bytes) in [(InterfaceRequest.setAddress, address), (InterfaceRequest.setMask, maskBytes)] {
                var request = named(name)
                // SAFETY: `struct sockaddr_in` begins after the name: family AF_INET, port, four bytes of address.
                unsafe withUnsafeMutableBytes(of: &request) { field in
                    unsafe field[16] = 2
                    for (index, byte) in bytes.prefix(4).enumerated() { unsafe field[20 + index] = byte }
                }
                try interfaceRequest(socket.number, code, &request)
            }
            var request = named(name)
            try interfaceRequest(socket.number, InterfaceRequest.getFlags, &request)
            // IFF_UP.
            request.flags |= 1
            try interfaceRequest(socket.number, InterfaceRequest.setFlags, &request)
        } catch {
            throw .address(name: name, error)
        }
    }

    /// A request about the interface of that name, which has at most 15 bytes.
    static func named(_ name: String) -> linux_interface_request {
        var request = linux_interface_request()
        // SAFETY: the name is cut to less than its field, which stands first; the rest stays zero.
        unsafe withUnsafeMutableBytes(of: &request) { field in unsafe field.copyBytes(from: name.utf8.prefix(15)) }
        return request
    }
}
