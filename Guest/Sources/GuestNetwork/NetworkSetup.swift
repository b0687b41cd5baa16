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

    private static func apply(_ interface: Interface, _ socket: borrowing NetlinkSocket) throws(LinuxError) {
        let index = try indexOf(interface.name, socket)
        if !interface.newName.isEmpty { try rename(index, interface.newName, socket) }
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
        var request = Request(Message.newLink, change)
        request.body.write(UInt32(0))
        request.body.write(index)
        // Flags and the mask of those that change: IFF_UP.
        request.body.write(UInt32(1))
        request.body.write(UInt32(1))
        if maximumTransmissionUnit > 0 { request.attribute(4, maximumTransmissionUnit) }
        try perform(request, socket)
    }

    private static func indexOf(_ name: ByteString, _ socket: borrowing NetlinkSocket) throws(LinuxError) -> UInt32 {
        var request = Request(Message.getLink, 0x001)
        request.body.write(UInt32(0))
        request.body.write(UInt32(0))
        request.body.write(UInt32(0))
        request.body.write(UInt32(0))
        request.attribute(3, name.bytes + [0])
        try socket.send(request.encoded())
        let answer = try socket.receive()
        try checkError(answer)
        var reader = LittleEndianReader(answer)
        do {
            _ = try reader.readBytes(20)
            return try reader.read(UInt32.self)
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
