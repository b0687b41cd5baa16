@testable import AgentProtocol

/// Valid messages of every kind, chosen at random.
extension SeededGenerator {
    mutating func text(_ range: ClosedRange<Int> = 0...20) -> ByteString {
        ByteString((0..<range.lowerBound + below(range.count)).map { _ in UInt8(1 + below(255)) })
    }

    mutating func word(_ range: ClosedRange<Int> = 1...15) -> ByteString {
        ByteString((0..<range.lowerBound + below(range.count)).map { _ in UInt8(0x61 + below(26)) })
    }

    mutating func path() -> ByteString { "/" + text() }

    mutating func address(_ family: IPAddress.Family? = nil) -> IPAddress {
        let isV4 = family.map { $0 == .v4 } ?? boolean()
        return IPAddress(networkOrder: bytes(isV4 ? 4 : 16)) ?? IPAddress(v4: 0, 0, 0, 0)
    }

    mutating func failure() -> Failure { Failure(.rootFileSystem, systemError: integer(), text: text()) }

    mutating func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.hostName = boolean() ? word() : ""
        if boolean() {
            let overlays: [Overlay] = [
                .none, .memory(bytes: integer()), .disk(device: path(), fileSystem: word()),
            ]
            configuration.root = RootFileSystem(
                source: text(1...20), fileSystem: word(), options: text(), isReadOnly: boolean(),
                overlay: overlays[below(3)], isForCommandsOnly: boolean(),
                verity: boolean() ? Verity(dataBlocks: 1 + integer() >> 13, rootHash: bytes(32)) : nil)
        }
        configuration.standardMounts = StandardMounts(rawValue: integer() & StandardMounts.known)
        configuration.mounts = list(atMost: 3) { $0.mount() }
        configuration.interfaces = interfaces()
        configuration.writesNameFiles = boolean()
        configuration.nameServers = list(atMost: 3) { $0.address() }
        configuration.searchDomains = list(atMost: 3) { $0.word() }
        configuration.hostEntries = list(atMost: 3) { HostEntry($0.address(), $0.word()) }
        configuration.realTimeNanoseconds = integer()
        configuration.seed = bytes(below(Limits.seedBytes + 1))
        configuration.links = list(atMost: 3) { SymbolicLink(path: $0.path(), target: $0.text(1...9)) }
        configuration.idleSeconds = integer()
        return configuration
    }

    mutating func mount() -> Mount {
        Mount(
            source: text(), target: path(), fileSystem: word(), options: text(),
            flags: Mount.Flags(rawValue: integer() & Mount.Flags.known))
    }

    mutating func attachedDevice() -> AttachedDevice {
        boolean() ? .disk(serial: word()) : .interface(hardwareAddress: bytes(6))
    }

    mutating func interfaces() -> [Interface] {
        list(atMost: 3) { generator in
            Interface(
                name: generator.word(), newName: generator.boolean() ? generator.word() : "",
                hardwareAddress: generator.boolean() ? generator.bytes(6) : [],
                maximumTransmissionUnit: generator.integer(),
                addresses: generator.list(atMost: 3) {
                    let address = $0.address()
                    return .init(address, prefixLength: UInt8($0.below(Int(address.bitWidth) + 1)))
                },
                routes: generator.list(atMost: 3) {
                    let destination = $0.address()
                    return .init(
                        to: destination, prefixLength: UInt8($0.below(Int(destination.bitWidth) + 1)),
                        via: $0.boolean() ? $0.address(destination.family) : nil)
                })
        }
    }

    mutating func identity() -> Identity {
        var identity = Identity()
        identity.hostName = boolean() ? word() : ""
        identity.machineID = bytes(16)
        identity.seed = bytes(below(Limits.seedBytes + 1))
        identity.realTimeNanoseconds = integer()
        identity.interfaces = interfaces()
        identity.nameServers = list(atMost: 3) { $0.address() }
        identity.searchDomains = list(atMost: 3) { $0.word() }
        identity.hostEntries = list(atMost: 3) { HostEntry($0.address(), $0.word()) }
        identity.generation = bytes(16)
        return identity
    }

    mutating func streams() -> Start.Streams {
        boolean() ? .terminal(size()) : .pipes(input: boolean(), output: boolean(), error: boolean())
    }

    mutating func start() -> Start {
        Start(
            arguments: [text(1...20)] + list(atMost: 4) { $0.text() },
            environment: list(atMost: 4) { $0.text(1...20) }, user: text(),
            supplementaryGroups: list(atMost: 3) { $0.text(1...8) }, workingDirectory: boolean() ? "" : path(),
            streams: streams(),
            streamOrigin: boolean() ? .agent : .host, token: Token(first: integer(), second: integer()),
            outlivesConnection: boolean())
    }

    mutating func size() -> TerminalSize {
        TerminalSize(rows: integer(), columns: integer(), widthPixels: integer(), heightPixels: integer())
    }

    mutating func hostMessages() -> [HostMessage] {
        [
            .configure(configuration()), .start(start()),
            .signal(Signal(UInt8(1 + below(64)), reachesGroup: boolean())),
            .resize(size()), .status(path: path()),
            .powerOff(PowerOff(boolean() ? .powerOff : .restart, graceMilliseconds: integer())), .ping,
            .clock(realTimeNanoseconds: integer()), .settings,
            .hold(patienceMilliseconds: integer()), .processes(after: integer()), .release, .identity(identity()),
            .adopt(
                Adoption(
                    streams: streams(), streamOrigin: boolean() ? .agent : .host,
                    token: Token(first: integer(), second: integer()))),
            .attach(
                Attachment(
                    attachedDevice(), mounts: list(atMost: 2) { $0.mount() }, interfaces: interfaces())),
            .detach(Detachment(attachedDevice(), isForced: boolean())),
            .relay(.dial(path: path())), .relay(.accept(path: path())),
        ]
    }

    mutating func agentMessages() -> [AgentMessage] {
        [
            .hello(
                Hello(
                    agentVersion: text(), kernelRelease: text(), capabilities: .init(rawValue: integer()),
                    uptimeNanoseconds: integer())),
            .configured, .started(processIdentifier: integer()), .exited(.exited(integer())),
            .exited(.signalled(integer())),
            .fileStatus(
                FileStatus(
                    mode: integer(), userID: integer(), groupID: integer(), sizeBytes: integer(),
                    modifiedNanoseconds: integer())),
            .pong(
                Load(
                    processes: integer(), connections: integer(), uptimeNanoseconds: integer(), memoryBytes: integer(),
                    availableBytes: integer())), .listening,
            .connected, .failure(failure()), .diskDamaged(DiskDamage(.data, block: integer())),
            .diskDamaged(DiskDamage(.hashTree, block: integer())), .diskDamaged(DiskDamage(.unknown, block: 0)),
            .settingsProposed, .held(processes: integer()),
            .processes(ProcessList(list(atMost: 4) { $0.process() }, isLast: boolean())), .attached(name: word()),
        ]
    }

    mutating func process() -> ProcessList.Entry {
        ProcessList.Entry(
            identifier: integer(), parent: integer(), user: integer(), state: integer(), threads: integer(),
            processorNanoseconds: integer(), residentBytes: integer(), startedNanoseconds: integer(),
            command: text())
    }

    mutating func transferMessages() -> [TransferMessage] {
        let kinds: [TransferEntry.Kind] = [
            .regular(sizeBytes: integer()), .directory, .symbolicLink(target: text(1...9)),
        ]
        return kinds.map {
            .entry(
                TransferEntry(
                    $0, path: boolean() ? "" : word() + "/" + word(), permissions: integer() & 0o7777,
                    userID: integer(), groupID: integer(), modifiedNanoseconds: integer()))
        } + [
            .copyIn(CopyIn(destination: path(), name: boolean() ? "" : word(), keepsOwner: boolean())),
            .copyOut(path: path()), .data(bytes(below(100))), .end, .finished(entries: integer(), bytes: integer()),
            .failure(failure()),
        ]
    }
}
