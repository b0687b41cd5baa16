import HostFiles

/// What may be different in a clone.
public struct CloneOptions: Sendable {
    /// Nil for one that is made up.
    public var name: String?
    /// Nil for the clone's name.
    public var hostName: String?
    /// In the place of the original's, as many. Nil: the same kinds, with devices and addresses of the clone's own.
    public var interfaces: [MachineInterface]?
    public var removesItself = false

    public init() {}
}

extension MachineFleet {
    /// Writes a machine down that goes on where the snapshot stands, as another machine. It begins as others do; whoever has
    /// it begun holds its image first (`keepImages`).
    public func makeClone(of snapshot: SnapshotRecord, _ options: CloneOptions) throws -> OwnedMachine {
        try makeClone(of: snapshot, in: SnapshotStore(store.paths).folder(snapshot.id), options)
    }

    func makeClone(
        of snapshot: SnapshotRecord, in folder: HostPath, _ options: CloneOptions
    ) throws -> OwnedMachine {
        try snapshot.checkFormat()
        var specification = try specification(ofCloneOf: snapshot, options)
        try specification.check()
        store.cleanLeftovers()
        let machine = try store.create(specification, name: options.name)
        do {
            try SnapshotStore.hand(snapshot, in: folder, to: machine.folder)
            // With the addresses that were chosen for it.
            specification.interfaces = machine.record.specification.interfaces
            specification.origin?.attachments = machine.record.specification.origin?.attachments
            specification.takeOwnDisks(snapshot.disks, in: machine.folder)
            for disk in snapshot.disks {
                try files { () throws(HostFileError) in
                    try DiskCopy.copy(
                        machine.folder.appending(SnapshotOrigin.diskName(disk.place)),
                        over: machine.folder.appending(SnapshotOrigin.ownDiskName(disk.place)))
                }
            }
            machine.diskLocks = try holdDisks(of: specification)
            try machine.update { $0.specification = specification }
            return machine
        } catch {
            // Nothing was ever run of it.
            store.removeFolder(machine.record)
            throw error
        }
    }

    private func specification(
        ofCloneOf snapshot: SnapshotRecord, _ options: CloneOptions
    ) throws(FleetError) -> MachineSpecification {
        var specification = snapshot.specification.inBackground
        specification.origin = SnapshotOrigin(
            id: snapshot.id, name: snapshot.name, runsProgram: snapshot.runsProgram, disks: snapshot.disks,
            memoryRoot: snapshot.memoryRoot)
        specification.hostName = options.hostName
        // One port of this computer leads to one machine.
        specification.published = []
        specification.removesItself = options.removesItself
        if options.removesItself { specification.container.restart = RestartPolicy() }
        var attachments = snapshot.attachments
        let attached = attachments.indices.filter { attachments[$0].interface != nil }
        let originals = specification.interfaces + attached.compactMap { attachments[$0].interface }
        let interfaces = try interfaces(of: snapshot, for: originals, options)
        let count = specification.interfaces.count
        for (place, interface) in zip(attached, interfaces.dropFirst(count)) {
            attachments[place].device = .interface(interface)
            (attachments[place].networkNumber, attachments[place].hardwareAddress) = (nil, nil)
        }
        specification.interfaces = interfaces
        try specification.checkInterfaces()
        specification.interfaces = Array(interfaces.prefix(count))
        specification.origin?.attachments = attachments.isEmpty ? nil : attachments
        return specification
    }

    /// What a clone has in the place of the original's interfaces.
    private func interfaces(
        of snapshot: SnapshotRecord, for originals: [MachineInterface], _ options: CloneOptions
    ) throws(FleetError) -> [MachineInterface] {
        if let interfaces = options.interfaces {
            guard interfaces.count == originals.count else {
                throw FleetError(
                    .invalidSetting,
                    "the snapshot \"\(snapshot.name)\" is of a machine with \(originals.count) network interfaces, and its clones have as many, not \(interfaces.count) (--network)"
                )
            }
            return zip(interfaces, originals).map { interface, original in
                var interface = interface
                // Programs know the interface by that.
                interface.name = original.name
                return interface
            }
        }
        var interfaces = originals
        for place in originals.indices {
            if case .tap(let name, _, _) = originals[place].network {
                throw FleetError(
                    .unusableNetwork,
                    "the snapshot \"\(snapshot.name)\" is of a machine on the TAP device \"\(name)\" with an address of its own; give each clone another: --network tap:NAME,address=A/N, or --network tap"
                )
            }
            interfaces[place].forgetIdentity()
        }
        return interfaces
    }
}

extension MachineSpecification {
    /// Every disk that is written to becomes the machine's own, in its folder; the others stay where they are, and all of them in
    /// their order, by which the guest knows them.
    fileprivate mutating func takeOwnDisks(_ copied: [SnapshotDisk], in folder: HostPath) {
        guard !copied.isEmpty else { return }
        let standing = allDisks.count
        var all = disks + container.volumes.map { Disk(path: $0.diskPath, isReadOnly: $0.isReadOnly) }
        var attachments = origin?.attachments ?? []
        let attached = attachments.indices.filter { attachments[$0].disk != nil }
        for disk in copied {
            let path = folder.appending(SnapshotOrigin.ownDiskName(disk.place)).description
            if all.indices.contains(disk.place) {
                all[disk.place].path = path
            } else if attached.indices.contains(disk.place - standing) {
                attachments[attached[disk.place - standing]].takeDisk(path)
            }
        }
        disks = all
        container.volumes = []
        origin?.attachments = attachments.isEmpty ? nil : attachments
    }
}
