import WireFormats

extension Configuration {
    func encode(into writer: inout LittleEndianWriter) {
        writer.write(hostName)
        writer.write(UInt8(root == nil ? 0 : 1))
        root?.encode(into: &writer)
        writer.write(standardMounts.rawValue)
        writer.writeList(mounts) { $1.encode(into: &$0) }
        writer.writeInterfaces(interfaces)
        writer.write(UInt8(writesNameFiles ? 1 : 0))
        writer.writeNames(nameServers, searchDomains, hostEntries)
        writer.write(realTimeNanoseconds)
        writer.write(UInt32(truncatingIfNeeded: seed.count))
        writer.writeBytes(seed)
        writer.writeList(links) { writer, link in
            writer.write(link.path)
            writer.write(link.target)
        }
        writer.write(idleSeconds)
    }

    init(from reader: inout MessageReader) {
        hostName = reader.hostName()
        root = reader.boolean() ? RootFileSystem(from: &reader) : nil
        standardMounts = StandardMounts(rawValue: reader.flags(.flags, known: StandardMounts.known))
        mounts = reader.list(.mounts, atMost: Limits.mounts) { reader in
            Mount(from: &reader)
        }
        interfaces = reader.interfaces()
        writesNameFiles = reader.boolean()
        (nameServers, searchDomains, hostEntries) = reader.names()
        realTimeNanoseconds = reader.integer()
        seed = reader.seed()
        links = reader.list(.links, atMost: Limits.links) { reader in
            SymbolicLink(
                path: reader.absolutePath(),
                target: reader.nonEmptyString(.linkTarget, atMost: Limits.pathBytes))
        }
        idleSeconds = reader.integer()
    }
}

/// What `Configuration` and `Identity` have in common.
extension LittleEndianWriter {
    mutating func writeInterfaces(_ interfaces: [Interface]) { writeList(interfaces) { $1.encode(into: &$0) } }

    mutating func writeNames(_ servers: [IPAddress], _ domains: [ByteString], _ entries: [HostEntry]) {
        writeList(servers) { $1.encode(into: &$0) }
        writeList(domains) { $0.write($1) }
        writeList(entries) { writer, entry in
            entry.address.encode(into: &writer)
            writer.write(entry.name)
        }
    }
}

extension MessageReader {
    mutating func hostName() -> ByteString {
        let name = string(.hostName, atMost: Limits.hostNameBytes)
        if !name.isOneWord { fail(.outOfBounds(.hostName)) }
        return name
    }

    mutating func seed() -> [UInt8] { bytes(count(.seed, atMost: Limits.seedBytes)) }

    @inline(never)
    mutating func interfaces() -> [Interface] {
        list(.interfaces, atMost: Limits.interfaces) { Interface(from: &$0) }
    }

    @inline(never)
    mutating func names() -> (servers: [IPAddress], domains: [ByteString], entries: [HostEntry]) {
        let servers = list(.nameServers, atMost: Limits.nameServers) { IPAddress(from: &$0) }
        let domains = list(.searchDomains, atMost: Limits.searchDomains) {
            $0.word(.searchDomains, atMost: Limits.domainBytes)
        }
        let entries = list(.hostEntries, atMost: Limits.hostEntries) {
            HostEntry(IPAddress(from: &$0), $0.word(.hostEntries, atMost: Limits.domainBytes))
        }
        return (servers, domains, entries)
    }
}

extension RootFileSystem {
    func encode(into writer: inout LittleEndianWriter) {
        writer.write(source)
        writer.write(fileSystem)
        writer.write(options)
        writer.write(UInt8(isReadOnly ? 1 : 0))
        writer.write(UInt8(isForCommandsOnly ? 1 : 0))
        writer.write(UInt8(verity == nil ? 0 : 1))
        if let verity {
            writer.write(verity.dataBlocks)
            writer.writeBytes(verity.rootHash)
        }
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

    init(from reader: inout MessageReader) {
        source = reader.nonEmptyString(.device, atMost: Limits.pathBytes)
        fileSystem = reader.nonEmptyString(.fileSystem, atMost: Limits.fileSystemBytes)
        options = reader.string(.options, atMost: Limits.mountOptionBytes)
        isReadOnly = reader.boolean()
        isForCommandsOnly = reader.boolean()
        verity = reader.boolean() ? Verity(from: &reader) : nil
        switch reader.integer(UInt8.self) {
        case 0: overlay = .none
        case 1: overlay = .memory(bytes: reader.integer())
        case 2:
            overlay = .disk(
                device: reader.nonEmptyString(.device, atMost: Limits.pathBytes),
                fileSystem: reader.nonEmptyString(.fileSystem, atMost: Limits.fileSystemBytes))
        default:
            overlay = .none
            reader.fail(.outOfBounds(.overlay))
        }
    }
}

extension Verity {
    init(from reader: inout MessageReader) {
        dataBlocks = reader.integer()
        if dataBlocks == 0 || dataBlocks > Limits.dataBlocks { reader.fail(.outOfBounds(.verity)) }
        rootHash = reader.bytes(Self.rootHashBytes)
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

    init(from reader: inout MessageReader) {
        source = reader.string(.device, atMost: Limits.pathBytes)
        target = reader.absolutePath()
        fileSystem = reader.string(.fileSystem, atMost: Limits.fileSystemBytes)
        options = reader.string(.options, atMost: Limits.mountOptionBytes)
        flags = Flags(rawValue: reader.flags(.flags, known: Flags.known))
    }
}

extension Interface {
    func encode(into writer: inout LittleEndianWriter) {
        writer.write(name)
        writer.write(newName)
        writer.write(UInt8(hardwareAddress.isEmpty ? 0 : 1))
        writer.writeBytes(hardwareAddress)
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

    init(from reader: inout MessageReader) {
        name = reader.word(.interfaceName, atMost: Limits.interfaceNameBytes)
        newName = reader.string(.interfaceName, atMost: Limits.interfaceNameBytes)
        if !newName.isOneWord { reader.fail(.outOfBounds(.interfaceName)) }
        hardwareAddress = reader.boolean() ? reader.bytes(Limits.hardwareAddressBytes) : []
        maximumTransmissionUnit = reader.integer()
        addresses = reader.list(.addresses, atMost: Limits.addressesPerInterface) { reader in
            let address = IPAddress(from: &reader)
            return Address(address, prefixLength: reader.prefixLength(of: address))
        }
        routes = reader.list(.routes, atMost: Limits.routesPerInterface) { reader in
            let destination = IPAddress(from: &reader)
            let prefixLength = reader.prefixLength(of: destination)
            let gateway = reader.boolean() ? IPAddress(from: &reader) : nil
            if let gateway, gateway.family != destination.family { reader.fail(.outOfBounds(.addressFamily)) }
            return Route(to: destination, prefixLength: prefixLength, via: gateway)
        }
    }
}

extension MessageReader {
    @inline(never)
    mutating func boolean() -> Bool {
        let byte = integer(UInt8.self)
        if byte > 1 { fail(.outOfBounds(.flags)) }
        return byte == 1
    }

    /// A string that begins with a slash.
    @inline(never)
    mutating func absolutePath() -> ByteString {
        let path = string(.path, atMost: Limits.pathBytes)
        if !path.isAbsolutePath { fail(.outOfBounds(.path)) }
        return path
    }

    /// A string without white space or control characters: what becomes one word of a file such as `/etc/hosts`.
    @inline(never)
    mutating func word(_ field: MessageField, atMost limit: Int) -> ByteString {
        let word = nonEmptyString(field, atMost: limit)
        if !word.isOneWord { fail(.outOfBounds(field)) }
        return word
    }

    fileprivate mutating func prefixLength(of address: IPAddress) -> UInt8 {
        let length = integer(UInt8.self)
        if length > address.bitWidth { fail(.outOfBounds(.prefixLength)) }
        return length
    }
}

extension ByteString {
    /// Whether it holds neither white space nor control characters.
    public var isOneWord: Bool { bytes.allSatisfy { $0 > 0x20 && $0 != 0x7f } }

    var isAbsolutePath: Bool { bytes.first == UInt8(ascii: "/") }
}
