public import AgentProtocol
public import LinuxCalls
import Netlink
import WireFormats

extension Links {
    /// The addresses of a link, IPv4 before IPv6; nil: of all.
    public mutating func addresses(of index: UInt32?) throws(LinuxError) -> [Interface.Address] {
        var request = NetlinkRequest(RouteMessage.getAddress)
        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        request.body.write(UInt64(0))
        var addresses: [Interface.Address] = []
        for message in try session.dump(request) {
            let link = try message.number(at: 4)
            if let index, link != index { continue }
            let prefixLength = UInt8(truncatingIfNeeded: try message.number(at: 0) >> 8)
            let attributes = try message.attributes(after: 8)
            // Of IPv4 the other is the peer's on links with one peer; IPv6 has only the other.
            var value = try attributes.first(RouteAttribute.addressLocal)
            if value == nil { value = try attributes.first(RouteAttribute.addressPeer) }
            guard let value, let address = IPAddress(networkOrder: [UInt8](value.value)) else { continue }
            addresses.append(Interface.Address(address, prefixLength: prefixLength))
        }
        return addresses
    }

    /// Gives a link an address, which it has at once, without asking whether somebody else has it.
    public mutating func add(_ address: Interface.Address, to index: UInt32) throws(LinuxError) {
        try session.perform(Self.request(RouteMessage.newAddress, .make, address, index))
    }

    /// Takes an address away, and the routes that stand on it. One that is not there is no error.
    public mutating func remove(_ address: Interface.Address, from index: UInt32) throws(LinuxError) {
        do throws(LinuxError) {
            try session.perform(Self.request(RouteMessage.deleteAddress, [], address, index))
        } catch {
            if error != .addressNotAvailable { throw error }
        }
    }

    private static func request(
        _ type: UInt16, _ flags: NetlinkFlags, _ address: Interface.Address, _ index: UInt32
    ) -> NetlinkRequest {
        .address(type, flags, address.address.bytes, prefixLength: address.prefixLength, link: index)
    }
}
