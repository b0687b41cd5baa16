import AgentProtocol

extension MachineSpecification {
    /// The guest's further file systems, in the order in which they are mounted: those that lie within others later.
    /// - Parameter unfilled: volumes that are used for the first time.
    func mounts(filling unfilled: [VolumeAttachment]) -> [Mount] {
        var mounts: [Mount] = []
        for (index, volume) in container.volumes.enumerated() {
            mounts.append(
                Self.mount(
                    volume, of: MonitorConfiguration.device(disks.count + index), fills: unfilled.contains(volume)))
        }
        if settingsFloppyPath != nil {
            mounts.append(
                Mount(
                    source: ByteString(MonitorConfiguration.device(allDisks.count - 1)),
                    target: ByteString(Self.settingsFolder), fileSystem: Mount.settingsFileSystem))
        }
        for (index, folder) in container.folders.enumerated() {
            var flags: Mount.Flags = [.noSetUserID, .noDevices]
            if folder.isReadOnly { flags.insert(.readOnly) }
            mounts.append(
                Mount(
                    source: ByteString(MonitorConfiguration.folderTag(index)), target: ByteString(folder.target),
                    fileSystem: "virtiofs", flags: flags))
        }
        for folder in container.temporaryFolders {
            var flags: Mount.Flags = [.noSetUserID, .noDevices]
            if folder.isReadOnly { flags.insert(.readOnly) }
            if !folder.allowsExecution { flags.insert(.noExecution) }
            mounts.append(
                Mount(
                    source: "tmpfs", target: ByteString(folder.path), fileSystem: "tmpfs",
                    options: ByteString(folder.options), flags: flags))
        }
        if let bytes = container.sharedMemoryBytes {
            mounts.append(
                Mount(
                    source: "tmpfs", target: "/dev/shm", fileSystem: "tmpfs",
                    options: ByteString("mode=1777,size=\(bytes)"), flags: [.noSetUserID, .noDevices]))
        }
        if container.holdsSecrets {
            mounts.append(
                Mount(
                    source: "tmpfs", target: ByteString(ContainerSettings.secretsFolder), fileSystem: "tmpfs",
                    options: "mode=0755", flags: [.noSetUserID, .noDevices, .noExecution]))
        }
        mounts.sort { Self.depth($0.target) < Self.depth($1.target) }
        // The last: the places of the others are made in the root.
        if container.isReadOnly { mounts += readOnlyRoot(with: mounts) }
        return mounts
    }

    static func mount(_ volume: VolumeAttachment, of device: String, fills: Bool) -> Mount {
        var flags: Mount.Flags = [.noSetUserID, .noDevices]
        if volume.isReadOnly { flags.insert(.readOnly) }
        if fills { flags.insert(.fill) }
        return Mount(
            source: ByteString(device), target: ByteString(volume.target), fileSystem: "ext4", flags: flags)
    }

    /// Takes writing away. The program's folder may be missing in the image, and could not be made any more: as a mount of
    /// itself it is made before.
    private func readOnlyRoot(with mounts: [Mount]) -> [Mount] {
        let folder = ByteString(workingDirectory)
        let isElsewhere = mounts.contains { folder == $0.target || folder.hasPrefix($0.target + "/") }
        let own = Mount(source: folder, target: folder, fileSystem: "", flags: [.bind, .readOnly])
        let root = Mount(source: "", target: "/", fileSystem: "", flags: [.bind, .readOnly])
        return folder.isEmpty || folder == "/" || isElsewhere ? [root] : [own, root]
    }

    private static func depth(_ path: ByteString) -> Int { path.bytes.count { $0 == UInt8(ascii: "/") } }
}
