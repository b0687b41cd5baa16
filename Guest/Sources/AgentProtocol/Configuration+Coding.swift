import WireFormats

extension Configuration {
    func encode(into writer: inout LittleEndianWriter) {
        writer.write(hostName)
        writer.write(UInt8(root == nil ? 0 : 1))
        root?.encode(into: &writer)
        writer.write(standardMounts.rawValue)
        writer.writeList(mounts) { $1.encode(into: &$0) }
        writer.writeList(interfaces) { $1.encode(into: &$0) }
        writer.write(UInt8(writesNameFiles ? 1 : 0))
        writer.writeList(nameServers) { $1.encode(into: &$0) }
        writer.writeList(searchDomains) { $0.write($1) }
        writer.writeList(hostEntries) { writer, entry in
            entry.address.encode(into: &writer)
            writer.write(entry.name)
        }
        writer.write(realTimeNanoseconds)
        writer.write(UInt32(truncatingIfNeeded: seed.count))
        writer.writeBytes(seed)
        writer.writeList(links) { writer, link in
            writer.write(link.path)
            writer.write(link.target)
        }
        writer.write(idleSeconds)
    }

    init(from reader: inout MessageReader) throws(ProtocolError) {
        hostName = try reader.string(.hostName, atMost: Limits.hostNameBytes)
        guard hostName.isOneWord else { throw .outOfBounds(.hostName) }
        root = try reader.boolean() ? try RootFileSystem(from: &reader) : nil
        standardMounts = StandardMounts(rawValue: try reader.flags(.flags, known: StandardMounts.known))
        mounts = try reader.list(.mounts, atMost: Limits.mounts) { reader throws(ProtocolError) in
            try Mount(from: &reader)
        }
        interfaces = try reader.list(.interfaces, atMost: Limits.interfaces) { reader throws(ProtocolError) in
            try Interface(from: &reader)
        }
        writesNameFiles = try reader.boolean()
        nameServers = try reader.list(.nameServers, atMost: Limits.nameServers) { reader throws(ProtocolError) in
            try IPAddress(from: &reader)
        }
        searchDomains = try reader.list(.searchDomains, atMost: Limits.searchDomains) { reader throws(ProtocolError) in
            try reader.word(.searchDomains, atMost: Limits.domainBytes)
        }
        hostEntries = try reader.list(.hostEntries, atMost: Limits.hostEntries) { reader throws(ProtocolError) in
            HostEntry(
                try IPAddress(from: &reader), try reader.word(.hostEntries, atMost: Limits.domainBytes))
        }
        realTimeNanoseconds = try reader.integer()
        let seedBytes = try reader.integer(UInt32.self)
        guard seedBytes <= UInt32(Limits.seedBytes) else { throw .outOfBounds(.seed) }
        seed = try reader.bytes(Int(seedBytes))
        links = try reader.list(.links, atMost: Limits.links) { reader throws(ProtocolError) in
            SymbolicLink(
                path: try reader.absolutePath(),
                target: try reader.nonEmptyString(.linkTarget, atMost: Limits.pathBytes))
        }
        idleSeconds = try reader.integer()
    }
}

extension RootFileSystem {
    func encode(into writer: inout LittleEndianWriter) {
        writer.write(source)
        writer.write(fileSystem)
        writer.write(options)
        writer.write(UInt8(isReadOnly ? 1 : 0))
        writer.write(UInt8(isForCommandsOnly ? 1 : 0))
        switch overlay {
        case .none: writer.write(UInt8(0))
        case .memory(let bytes):
            writer.write(UInt8(1))
            writer.write(bytes)
        case .disk(let device, let fileSystem):
            writer.write(UInt8(2))
            writer.write(device)
            writer.write(fileSystem)
        }
    }

    init(from reader: inout MessageReader) throws(ProtocolError) {
        source = try reader.nonEmptyString(.device, atMost: Limits.pathBytes)
        fileSystem = try reader.nonEmptyString(.fileSystem, atMost: Limits.fileSystemBytes)
        options = try reader.string(.options, atMost: Limits.mountOptionBytes)
        isReadOnly = try reader.boolean()
        isForCommandsOnly = try reader.boolean()
        switch try reader.integer(UInt8.self) {
        case 0: overlay = .none
        case 1: overlay = .memory(bytes: try reader.integer())
        case 2:
            overlay = .disk(
                device: try reader.nonEmptyString(.device, atMost: Limits.pathBytes),
                fileSystem: try reader.nonEmptyString(.fileSystem, atMost: Limits.fileSystemBytes))
        default: throw .outOfBounds(.overlay)
        }
    }
}

extension Mount {
    func encode(into writer: inout LittleEndianWriter) {
        writer.write(source)
        writer.write(target)
        writer.write(fileSystem)
        writer.write(options)
        writer.write(flags.rawValue)
    }

    init(from reader: inout MessageReader) throws(ProtocolError) {
        source = try reader.string(.device, atMost: Limits.pathBytes)
        target = try reader.absolutePath()
        fileSystem = try reader.string(.fileSystem, atMost: Limits.fileSystemBytes)
        options = try reader.string(.options, atMost: Limits.mountOptionBytes)
        flags = Flags(rawValue: try reader.flags(.flags, known: Flags.known))
    }
}

extension Interface {
    func encode(into writer: inout LittleEndianWriter) {
        writer.write(name)
        writer.write(maximumTransmissionUnit)
        writer.writeList(addresses) { writer, address in
            address.address.encode(into: &writer)
            writer.write(address.prefixLength)
        }
        writer.writeList(routes) { writer, route in
            route.destination.encode(into: &writer)
            writer.write(route.prefixLength)
            writer.write(UInt8(route.gateway == nil ? 0 : 1))
            route.gateway?.encode(into: &writer)
        }
    }

    init(from reader: inout MessageReader) throws(ProtocolError) {
        name = try reader.word(.interfaceName, atMost: Limits.interfaceNameBytes)
        maximumTransmissionUnit = try reader.integer()
        addresses = try reader.list(.addresses, atMost: Limits.addressesPerInterface) { reader throws(ProtocolError) in
            let address = try IPAddress(from: &reader)
            return Address(address, prefixLength: try reader.prefixLength(of: address))
        }
        routes = try reader.list(.routes, atMost: Limits.routesPerInterface) { reader throws(ProtocolError) in
            let destination = try IPAddress(from: &reader)
            let prefixLength = try reader.prefixLength(of: destination)
            let gateway = try reader.boolean() ? try IPAddress(from: &reader) : nil
            if let gateway, gateway.family != destination.family { throw .outOfBounds(.addressFamily) }
            return Route(to: destination, prefixLength: prefixLength, via: gateway)
        }
    }
}

extension MessageReader {
    mutating func boolean() throws(ProtocolError) -> Bool {
        let byte = try integer(UInt8.self)
        guard byte <= 1 else { throw .outOfBounds(.flags) }
        return byte == 1
    }

    /// A string that begins with a slash.
    mutating func absolutePath() throws(ProtocolError) -> ByteString {
        let path = try string(.path, atMost: Limits.pathBytes)
        guard path.bytes.first == UInt8(ascii: "/") else { throw .outOfBounds(.path) }
        return path
    }

    /// A string without white space or control characters: what becomes one word of a file such as `/etc/hosts`.
    mutating func word(_ field: MessageField, atMost limit: Int) throws(ProtocolError) -> ByteString {
        let word = try nonEmptyString(field, atMost: limit)
        guard word.isOneWord else { throw .outOfBounds(field) }
        return word
    }

    fileprivate mutating func prefixLength(of address: IPAddress) throws(ProtocolError) -> UInt8 {
        let length = try integer(UInt8.self)
        guard length <= address.bitWidth else { throw .outOfBounds(.prefixLength) }
        return length
    }
}

extension ByteString {
    /// Whether it holds neither white space nor control characters.
    var isOneWord: Bool { bytes.allSatisfy { $0 > 0x20 && $0 != 0x7f } }
}
