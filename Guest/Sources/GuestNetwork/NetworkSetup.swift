package import AgentProtocol
import FileTransfer
import LinuxCalls
import Netlink
import WireFormats

/// Interfaces, addresses and routes, told to the kernel. Source: rtnetlink(7).
package enum NetworkSetup {
    /// Brings the loopback up, gives each interface its name, and brings those up that are given addresses, with their routes.
    package static func apply(_ interfaces: [Interface]) throws(Failure) {
        do throws(LinuxError) {
            var session = try NetlinkSession()
            try session.perform(.link(1, isUp: true))
            for interface in interfaces { try apply(interface, &session) }
        } catch {
            throw Failure(.network, error, "network of " + (interfaces.isEmpty ? "the loopback" : names(interfaces)))
        }
    }

    /// Takes an address away, and with it the routes that stand on it.
    package static func remove(_ address: Interface.Address, from name: ByteString) throws(Failure) {
        do throws(LinuxError) {
            var session = try NetlinkSession()
            let index = try link(named: name, &session).index
            try session.perform(
                .address(
                    RouteMessage.deleteAddress, [], address.address.bytes, prefixLength: address.prefixLength,
                    link: index))
        } catch {
            throw Failure(.network, error, "network of " + name)
        }
    }

    /// Brings an interface up that is given no address.
    package static func switchOn(_ name: ByteString) throws(Failure) {
        do throws(LinuxError) {
            var session = try NetlinkSession()
            let index = try link(named: name, &session).index
            try session.perform(.link(index, isUp: true))
        } catch {
            throw Failure(.network, error, "network of " + name)
        }
    }

    /// Gives interfaces that are there another hardware address, addresses and routes in the place of those that they have.
    /// Each is found by its new name, or else by its name.
    package static func replace(_ interfaces: [Interface]) throws(Failure) {
        guard !interfaces.isEmpty else { return }
        do throws(LinuxError) {
            var session = try NetlinkSession()
            for interface in interfaces { try replace(interface, &session) }
        } catch {
            throw Failure(.network, error, "network of " + names(interfaces))
        }
    }

    private static func names(_ interfaces: [Interface]) -> ByteString {
        var names: ByteString = ""
        for interface in interfaces { names += (names.isEmpty ? "" : ", ") + interface.name }
        return names
    }

    private static func replace(_ interface: Interface, _ session: inout NetlinkSession) throws(LinuxError) {
        var now = interface
        if !interface.newName.isEmpty, (try? link(named: interface.newName, &session)) != nil {
            now.name = interface.newName
            now.newName = ""
        }
        let link = try link(named: now.name, &session)
        // Routes go with the link; addresses of IPv4 do not.
        try session.perform(.link(link.index, isUp: false))
        for request in try removals(of: link.index, &session) {
            do throws(LinuxError) { try session.perform(request) } catch {
                // It went with another one.
                if error != .addressNotAvailable { throw error }
            }
        }
        try apply(now, &session)
        if link.isUp, now.addresses.isEmpty { try session.perform(.link(link.index, isUp: true)) }
    }

    /// What takes every address of an interface away.
    private static func removals(
        of index: UInt32, _ session: inout NetlinkSession
    ) throws(LinuxError) -> [NetlinkRequest] {
        var list = NetlinkRequest(RouteMessage.getAddress)
        list.body.write(UInt64(0))
        var requests: [NetlinkRequest] = []
        for message in try session.dump(list) where try message.number(at: 4) == index {
            // The same message takes it away.
            var request = NetlinkRequest(RouteMessage.deleteAddress)
            request.body.writeBytes([UInt8](message.body))
            requests.append(request)
        }
        return requests
    }

    private static func apply(_ interface: Interface, _ session: inout NetlinkSession) throws(LinuxError) {
        let index = try link(named: interface.name, &session).index
        if !interface.newName.isEmpty {
            var rename = NetlinkRequest.link(RouteMessage.newLink, index: index)
            rename.attribute(RouteAttribute.linkName, text: interface.newName.bytes)
            try session.perform(rename)
        }
        if !interface.hardwareAddress.isEmpty {
            var change = NetlinkRequest.link(RouteMessage.newLink, index: index)
            change.attribute(RouteAttribute.linkAddress, interface.hardwareAddress)
            try session.perform(change)
        }
        if interface.addresses.isEmpty { return }
        var start = NetlinkRequest.link(index, isUp: true)
        if interface.maximumTransmissionUnit > 0 {
            start.attribute(RouteAttribute.linkMaximumTransmissionUnit, interface.maximumTransmissionUnit)
        }
        try session.perform(start)
        for address in interface.addresses {
            try session.perform(
                .address(
                    RouteMessage.newAddress, .put, address.address.bytes, prefixLength: address.prefixLength,
                    link: index))
        }
        for route in interface.routes {
            try session.perform(
                .route(
                    RouteMessage.newRoute, .put, to: route.destination.bytes, prefixLength: route.prefixLength,
                    via: route.gateway?.bytes, link: index))
        }
    }

    private static func link(
        named name: ByteString, _ session: inout NetlinkSession
    ) throws(LinuxError) -> (index: UInt32, isUp: Bool) {
        var request = NetlinkRequest.link(RouteMessage.getLink)
        request.attribute(RouteAttribute.linkName, text: name.bytes)
        let message = try session.get(request)
        return (try message.number(at: 4), try message.number(at: 8) & 1 != 0)
    }
}
