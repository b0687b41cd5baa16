package import AgentProtocol
import FileTransfer
import LinuxCalls
import WireFormats

/// Interfaces, addresses and routes, told to the kernel. Source: rtnetlink(7), Linux `linux/rtnetlink.h`.
package enum NetworkSetup {
    private enum Message {
        static let newLink: UInt16 = 16
        static let getLink: UInt16 = 18
        static let newAddress: UInt16 = 20
        static let getAddress: UInt16 = 22
        static let deleteAddress: UInt16 = 21
        static let newRoute: UInt16 = 24
    }

    /// Request and acknowledge; create and replace for what is new.
    private static let change: UInt16 = 0x005
    private static let create: UInt16 = 0x505

    /// Brings the loopback up, gives each interface its name, and brings those up that are given addresses, with their routes.
    package static func apply(_ interfaces: [Interface]) throws(Failure) {
        do throws(LinuxError) {
            let socket = try NetlinkSocket()
            try bringUp(1, maximumTransmissionUnit: 0, socket)
            for interface in interfaces { try apply(interface, socket) }
        } catch {
            var names: ByteString = interfaces.isEmpty ? "the loopback" : ""
            for interface in interfaces { names += (names.isEmpty ? "" : ", ") + interface.name }
            throw Failure(.network, error, "network of " + names)
        }
    }

    /// Takes an address away, and with it the routes that stand on it.
    package static func remove(_ address: Interface.Address, from name: ByteString) throws(Failure) {
        do throws(LinuxError) {
            let socket = try NetlinkSocket()
            let index = try indexOf(name, socket)
            try perform(request(Message.deleteAddress, change, address, index), socket)
        } catch {
            throw Failure(.network, error, "network of " + name)
        }
    }

    /// Brings an interface up that is given no address.
    package static func switchOn(_ name: ByteString) throws(Failure) {
        do throws(LinuxError) {
            let socket = try NetlinkSocket()
            try bringUp(try indexOf(name, socket), maximumTransmissionUnit: 0, socket)
        } catch {
            throw Failure(.network, error, "network of " + name)
        }
    }

    /// Gives interfaces that are there another hardware address, addresses and routes in the place of those that they have.
    /// Each is found by its new name, or else by its name.
    package static func replace(_ interfaces: [Interface]) throws(Failure) {
        guard !interfaces.isEmpty else { return }
        do throws(LinuxError) {
            let socket = try NetlinkSocket()
            for interface in interfaces {
                var now = interface
                if !interface.newName.isEmpty, (try? indexOf(interface.newName, socket)) != nil {
                    now.name = interface.newName
                    now.newName = ""
                }
                let index = try indexOf(now.name, socket)
                let wasUp = try isUp(index, socket)
                // Routes go with the link; addresses of IPv4 do not.
                try setLink(index, isUp: false, socket)
                for request in try removals(of: index, socket) {
                    do throws(LinuxError) { try perform(request, socket) } catch {
                        // It went with another one.
                        if error != .addressNotAvailable { throw error }
                    }
                }
                try apply(now, socket)
                if wasUp, now.addresses.isEmpty { try setLink(index, isUp: true, socket) }
            }
        } catch {
            var names: ByteString = ""
            for interface in interfaces { names += (names.isEmpty ? "" : ", ") + interface.name }
            throw Failure(.network, error, "network of " + names)
        }
    }

    /// What takes every address of an interface away.
    private static func removals(of index: UInt32, _ socket: borrowing NetlinkSocket) throws(LinuxError) -> [Request] {
        var dump = Request(Message.getAddress, 0x301)
        dump.body.write(UInt32(0))
        dump.body.write(UInt32(0))
        try socket.send(dump.encoded())
        var requests: [Request] = []
        while true {
            var reader = LittleEndianReader(try socket.receive())
            do throws(LittleEndianReader.Truncated) {
                while reader.remaining >= 16 {
                    let length = Int(try reader.read(UInt32.self))
                    let type = try reader.read(UInt16.self)
                    _ = try reader.readBytes(10)
                    // The last of them, or an error, which the next request meets as well.
                    guard type == Message.newAddress, length >= 24 else { return requests }
                    let header = try reader.readBytes(4)
                    let owner = try reader.read(UInt32.self)
                    let attributes = try reader.readBytes(min((length - 24 + 3) & ~3, reader.remaining))
                    guard owner == index else { continue }
                    var request = Request(Message.deleteAddress, change)
                    request.body.writeBytes(header)
                    request.body.write(owner)
                    request.body.writeBytes(attributes)
                    requests.append(request)
                }
            } catch {
                throw LinuxError.protocolError
            }
        }
    }

    private static func apply(_ interface: Interface, _ socket: borrowing NetlinkSocket) throws(LinuxError) {
        let index = try indexOf(interface.name, socket)
        if !interface.newName.isEmpty { try rename(index, interface.newName, socket) }
        if !interface.hardwareAddress.isEmpty { try setHardwareAddress(index, interface.hardwareAddress, socket) }
        if interface.addresses.isEmpty { return }
        try bringUp(index, maximumTransmissionUnit: interface.maximumTransmissionUnit, socket)
        for address in interface.addresses {
            try perform(self.request(Message.newAddress, create, address, index), socket)
        }
        for route in interface.routes {
            var request = Request(Message.newRoute, create)
            request.body.write(family(route.destination))
            request.body.write(route.prefixLength)
            request.body.writeBytes([0, 0, 254, 4])
            request.body.write(UInt8(route.gateway == nil && route.destination.family == .v4 ? 253 : 0))
            request.body.write(UInt8(1))
            request.body.write(UInt32(0))
            if route.prefixLength > 0 { request.attribute(1, route.destination.bytes) }
            if let gateway = route.gateway { request.attribute(5, gateway.bytes) }
            request.attribute(4, index)
            try perform(request, socket)
        }
    }

    private static func rename(
        _ index: UInt32, _ name: ByteString, _ socket: borrowing NetlinkSocket
    ) throws(LinuxError) {
        var request = Request(Message.newLink, change)
        request.body.write(UInt32(0))
        request.body.write(index)
        request.body.write(UInt32(0))
        request.body.write(UInt32(0))
        request.attribute(3, name.bytes + [0])
        try perform(request, socket)
    }

    private static func setHardwareAddress(
        _ index: UInt32, _ address: [UInt8], _ socket: borrowing NetlinkSocket
    ) throws(LinuxError) {
        var request = Request(Message.newLink, change)
        request.body.write(UInt32(0))
        request.body.write(index)
        request.body.write(UInt32(0))
        request.body.write(UInt32(0))
        request.attribute(1, address)
        try perform(request, socket)
    }

    private static func request(
        _ type: UInt16, _ flags: UInt16, _ address: Interface.Address, _ index: UInt32
    ) -> Request {
        var request = Request(type, flags)
        request.body.write(family(address.address))
        request.body.write(address.prefixLength)
        // Used at once: nobody else has this address.
        request.body.write(UInt8(address.address.family == .v6 ? 0x02 : 0))
        request.body.write(UInt8(0))
        request.body.write(index)
        request.attribute(2, address.address.bytes)
        request.attribute(1, address.address.bytes)
        return request
    }

    private static func bringUp(
        _ index: UInt32, maximumTransmissionUnit: UInt32, _ socket: borrowing NetlinkSocket
    ) throws(LinuxError) {
        try setLink(index, isUp: true, maximumTransmissionUnit: maximumTransmissionUnit, socket)
    }

    private static func setLink(
        _ index: UInt32, isUp: Bool, maximumTransmissionUnit: UInt32 = 0, _ socket: borrowing NetlinkSocket
    ) throws(LinuxError) {
        var request = Request(Message.newLink, change)
        request.body.write(UInt32(0))
        request.body.write(index)
        // Flags and the mask of those that change: IFF_UP.
        request.body.write(UInt32(isUp ? 1 : 0))
        request.body.write(UInt32(1))
        if maximumTransmissionUnit > 0 { request.attribute(4, maximumTransmissionUnit) }
        try perform(request, socket)
    }

    private static func indexOf(_ name: ByteString, _ socket: borrowing NetlinkSocket) throws(LinuxError) -> UInt32 {
        var request = Request(Message.getLink, 0x001)
        for _ in 0..<4 { request.body.write(UInt32(0)) }
        request.attribute(3, name.bytes + [0])
        return try link(request, socket).index
    }

    private static func isUp(_ index: UInt32, _ socket: borrowing NetlinkSocket) throws(LinuxError) -> Bool {
        var request = Request(Message.getLink, 0x001)
        request.body.write(UInt32(0))
        request.body.write(index)
        request.body.write(UInt32(0))
        request.body.write(UInt32(0))
        return try link(request, socket).flags & 1 != 0
    }

    private static func link(
        _ request: Request, _ socket: borrowing NetlinkSocket
    ) throws(LinuxError) -> (index: UInt32, flags: UInt32) {
        try socket.send(request.encoded())
        let answer = try socket.receive()
        try checkError(answer)
        var reader = LittleEndianReader(answer)
        do {
            _ = try reader.readBytes(20)
            return (try reader.read(UInt32.self), try reader.read(UInt32.self))
        } catch {
            throw LinuxError.noDevice
        }
    }

    private static func perform(_ request: Request, _ socket: borrowing NetlinkSocket) throws(LinuxError) {
        try socket.send(request.encoded())
        try checkError(try socket.receive())
    }

    /// An answer of type 2 carries minus an error number, or zero.
    private static func checkError(_ answer: [UInt8]) throws(LinuxError) {
        var reader = LittleEndianReader(answer)
        let number: Int32
        do throws(LittleEndianReader.Truncated) {
            _ = try reader.read(UInt32.self)
            guard try reader.read(UInt16.self) == 2 else { return }
            _ = try reader.readBytes(10)
            number = Int32(bitPattern: try reader.read(UInt32.self))
        } catch {
            throw LinuxError.inputOutput
        }
        if number < 0 { throw LinuxError(0 &- number) }
    }

    private static func family(_ address: IPAddress) -> UInt8 { address.family == .v4 ? 2 : 10 }

    /// One netlink message: length, type, flags, sequence, port; then its body and attributes.
    private struct Request {
        let type: UInt16
        let flags: UInt16
        var body = LittleEndianWriter()

        init(_ type: UInt16, _ flags: UInt16) {
            self.type = type
            self.flags = flags
        }

        mutating func attribute(_ number: UInt16, _ bytes: [UInt8]) {
            body.write(UInt16(truncatingIfNeeded: 4 + bytes.count))
            body.write(number)
            body.writeBytes(bytes)
            while body.bytes.count % 4 != 0 { body.write(UInt8(0)) }
        }

        mutating func attribute(_ number: UInt16, _ value: UInt32) {
            var writer = LittleEndianWriter()
            writer.write(value)
            attribute(number, writer.bytes)
        }

        func encoded() -> [UInt8] {
            var header = LittleEndianWriter()
            header.write(UInt32(truncatingIfNeeded: 16 + body.bytes.count))
            header.write(type)
            header.write(flags)
            header.write(UInt32(1))
            header.write(UInt32(0))
            return header.bytes + body.bytes
        }
    }
}
