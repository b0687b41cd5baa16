import Archives
import FoundationEssentials
import HostFiles
import ImageStore

/// Reading what somebody else says of a snapshot.
///
/// Trust: none. What comes out of here is within bounds and fits together; that the files are what it says is for whoever
/// reads them.
extension SnapshotDescription {
    private struct Version: Decodable {
        var version: Int
        var architecture: String
    }

    /// More than any disk that fits into an archive of the largest size.
    private static let mostDiskBytes: UInt64 = 1 << 46
    /// Source: Snapshots.SnapshotFormat of the monitor.
    private static let mostStateBytes: UInt64 = 4 << 20
    /// Behind the guest's memory. Source: Documentation/snapshot-format.md, "Memory".
    static let trailerBytes: UInt64 = 4096

    public init(parsing bytes: [UInt8]) throws(SnapshotError) {
        guard let version = try? JSONDecoder().decode(Version.self, from: Data(bytes)) else {
            throw Self.invalid("its description cannot be read")
        }
        // In this order: in what is newer nothing else means what it says.
        guard version.version <= Self.version else { throw Self.newer("\(version.version)") }
        guard version.architecture == ImportSettings.hostArchitecture else {
            throw SnapshotError(
                .otherProcessor,
                "it was made on another kind of processor (\(version.architecture.prefix(40))); this one is \(ImportSettings.hostArchitecture)"
            )
        }
        guard version.version >= 1, let read = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else {
            throw Self.invalid("its description cannot be read")
        }
        self = read
        try checkAttached()
        try checkPlugged()
        try checkFiles()
        try checkTexts()
    }

    private func checkAttached() throws(SnapshotError) {
        guard let attached else { return }
        let isRight = attached.allSatisfy { each in
            (each.disk == nil) != (each.interface == nil) && (0..<MonitorConfiguration.mostSlots).contains(each.slot)
                && DeviceAttachment.isOwn(each.id) && Self.isGuestName(each.guestName)
        }
        guard version >= 2, isRight, Set(attached.map(\.slot)).count == attached.count,
            Set(attached.map(\.id)).count == attached.count,
            Set(attached.map(\.guestName)).count == attached.count
        else { throw Self.invalid("no machine has attached what it says") }
    }

    /// What a kernel calls a disk or an interface. Source: Linux, dev_valid_name.
    private static func isGuestName(_ name: String) -> Bool {
        (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x2d, 0x2e, 0x30...0x39, 0x41...0x5a, 0x5f, 0x61...0x7a: true
                default: false
                }
            }
    }

    private func checkPlugged() throws(SnapshotError) {
        guard let pluggedMebibytes else { return }
        let most = MachineSpecification.mostMemoryMaximum
        guard version >= 3, let maximum = memoryMaximumMebibytes, (1...most).contains(maximum),
            MachineSpecification.memoryMebibytesRange.contains(memoryMebibytes), pluggedMebibytes > 0,
            pluggedMebibytes % MachineSpecification.blockMebibytes == 0,
            pluggedMebibytes <= MachineSpecification.pluggableMebibytes(from: memoryMebibytes, to: maximum)
        else { throw Self.invalid("no machine has grown to what it says") }
    }

    private func checkFiles() throws(SnapshotError) {
        guard MachineSpecification.processorRange.contains(processors),
            MachineSpecification.memoryMebibytesRange.contains(memoryMebibytes),
            interfaceCount <= MachineSpecification.mostInterfaces, disks.count <= MachineSpecification.mostDisks
        else {
            throw Self.invalid("no machine has \(processors) processors, \(memoryMebibytes) MiB and so many devices")
        }
        let wanted =
            [SnapshotRecord.stateName, SnapshotRecord.memoryName] + allDisks.indices.map { Self.diskName($0) }
        guard files.map(\.name) == wanted else { throw Self.invalid("it has other files than its machine") }
        for file in files {
            let isRight =
                switch file.name {
                case SnapshotRecord.stateName: file.sizeBytes <= Self.mostStateBytes
                case SnapshotRecord.memoryName:
                    file.sizeBytes == UInt64(memoryMebibytes + (pluggedMebibytes ?? 0)) << 20 + Self.trailerBytes
                default:
                    file.sizeBytes > 0 && file.sizeBytes % MachineFleet.sectorBytes == 0
                        && file.sizeBytes <= Self.mostDiskBytes
                }
            guard isRight, file.dataBytes <= file.sizeBytes else {
                throw Self.invalid("\(file.sizeBytes) bytes cannot be its \(file.name)")
            }
        }
    }

    private func checkTexts() throws(SnapshotError) {
        try SnapshotStore.check(name: name)
        try SnapshotStore.check(name: machineName)
        var texts = [image.name, image.digest, image.manifest ?? "", kernel, machineID, program.user]
        texts += program.command + program.environment + program.groups + [program.workingDirectory]
        texts += program.healthCheck?.command ?? []
        guard !texts.contains(where: { $0.utf8.contains(0) }), machineID.utf8.count <= 64,
            SHA256Digest(hex: memoryRoot) != nil,
            (1...64).contains(program.stopSignal),
            program.stopTimeoutSeconds >= 0, program.stopTimeoutSeconds <= 1e6
        else { throw Self.invalid("its description cannot be of a machine") }
    }

    static func invalid(_ why: String) -> SnapshotError {
        SnapshotError(.invalidFile, "this is no snapshot that can be taken over: \(why)")
    }

    static func newer(_ version: String) -> SnapshotError {
        SnapshotError(
            .newerVersion,
            "it was written by a newer version of Swiftlet, in format \(version.prefix(40)); this one reads up to \(Self.version): use that version, or a newer one"
        )
    }

    // MARK: What it becomes here

    /// A record of it for this computer, for which everything that is not the guest's own is given anew.
    ///
    /// - Parameters:
    ///   - image: the one that it is made of, in the store of this computer.
    ///   - interfaces: what the machine's are connected to here, as many as it has.
    func record(
        id: String, name: String, image: StoredImage, interfaces: [MachineInterface], in folder: HostPath
    ) throws -> SnapshotRecord {
        var specification = MachineSpecification()
        specification.image =
            image.names.contains(self.image.name) ? self.image.name : image.names.first ?? image.digest
        specification.imageDigest = image.digest
        specification.imageDiskPaths = image.diskPaths
        specification.imageVerity = image.rootHash.map { ImageVerity(dataBlocks: image.dataBlockCount, rootHash: $0) }
        // The guest's kernel is in its memory, and is booted no more.
        specification.kernel = String(kernel.prefix(200))
        (specification.processors, specification.memoryMebibytes) = (processors, memoryMebibytes)
        specification.memoryMaximumMebibytes = memoryMaximumMebibytes
        // What it has is what it is to keep, at most what it can have by its record.
        specification.limits.memoryMebibytes = pluggedMebibytes.map {
            min(memoryMebibytes + $0, memoryMaximumMebibytes ?? memoryMebibytes)
        }
        specification.isWithoutConsole = !hasConsole
        specification.disks = disks.enumerated().map {
            .init(path: folder.appending(Self.diskName($0)).description, isReadOnly: $1.isReadOnly)
        }
        specification.interfaces = try zip(interfaces, self.interfaces).map(Self.connected)
        let attachments = try attachments(connecting: interfaces.dropFirst(self.interfaces.count), in: folder)
        (specification.command, specification.environment) = (program.command, program.environment)
        (specification.user, specification.workingDirectory) = (program.user, program.workingDirectory)
        (specification.hasTerminal, specification.isDetached) = (program.hasTerminal, true)
        specification.container.groups = program.groups
        specification.container.stopSignal = program.stopSignal
        specification.container.stopTimeoutSeconds = program.stopTimeoutSeconds
        specification.container.healthCheck = program.healthCheck
        specification.container.hostEntries = try program.hosts.map { text throws(FleetError) in
            try ContainerSettings.HostAddress(parsing: text)
        }
        specification.container.nameServers = program.nameServers
        specification.container.searchDomains = program.searchDomains
        try specification.check()
        var record = SnapshotRecord(
            id: id, name: name, createdSeconds: createdSeconds, machineID: machineID, machineName: machineName,
            specification: specification,
            disks: allDisks.indices.map {
                SnapshotDisk(place: $0, sizeBytes: file(Self.diskName($0))?.sizeBytes ?? 0)
            }, attachments: attachments)
        record.stateBytes = file(SnapshotRecord.stateName)?.sizeBytes ?? 0
        record.memoryBytes = file(SnapshotRecord.memoryName)?.sizeBytes ?? 0
        return record
    }

    /// What is given here, by the name that programs know.
    private static func connected(
        _ here: MachineInterface, as original: Interface
    ) throws(FleetError) -> MachineInterface {
        var here = here
        here.name = nil
        return try original.name.map { name throws(FleetError) in try here.named(name) } ?? here
    }

    private func attachments(
        connecting interfaces: ArraySlice<MachineInterface>, in folder: HostPath
    ) throws(FleetError) -> [DeviceAttachment] {
        var interfaces = interfaces
        var place = disks.count
        var attachments: [DeviceAttachment] = []
        for each in attached ?? [] {
            let device: DeviceAttachment.Device
            if let disk = each.disk {
                device = .disk(
                    .init(path: folder.appending(Self.diskName(place)).description, isReadOnly: disk.isReadOnly))
                place += 1
            } else if let original = each.interface, let here = interfaces.popFirst() {
                device = .interface(try Self.connected(here, as: original))
            } else {
                continue
            }
            attachments.append(
                DeviceAttachment(id: each.id, device: device, guestName: each.guestName, slot: each.slot))
        }
        return attachments
    }
}
