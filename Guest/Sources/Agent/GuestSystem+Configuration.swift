import AgentProtocol
import FileTransfer
import GuestNetwork
import LinuxCalls

extension GuestSystem {
    /// Makes the machine what the host wants. Where it fails, what was done until then stays done.
    func apply(_ wanted: Configuration) throws(Failure) {
        for link in wanted.links {
            do throws(LinuxError) {
                if let slash = link.path.bytes.lastIndex(of: UInt8(ascii: "/")), slash > 0 {
                    Self.makePath(ByteString(link.path.bytes[..<slash]))
                }
                try FileTree.makeSymbolicLink(link.path.bytes, to: link.target.bytes)
            } catch {
                throw Failure(.mount, error, "symbolic link \"" + link.path + "\"")
            }
        }
        if !wanted.seed.isEmpty, let random = try? FileTree.open(ByteString("/dev/urandom").bytes, .writeOnly) {
            try? SystemControl.addEntropy(wanted.seed, to: random.number)
        }
        if wanted.realTimeNanoseconds > 0 { correctClock(wanted.realTimeNanoseconds) }
        if !wanted.hostName.isEmpty {
            do throws(LinuxError) {
                try SystemControl.setHostName(wanted.hostName.bytes)
            } catch {
                throw Failure(.hostName, error, "host name \"" + wanted.hostName + "\"")
            }
            hostName = wanted.hostName
        }
        if let root = wanted.root { try take(root, wanted.standardMounts) }
        mountStandard(wanted.standardMounts)
        commandsRoot = nil
        do throws(LinuxError) {
            let path = commandsRootPath.isEmpty ? "/" : commandsRootPath
            commandsRoot = Handle(try FileTree.open(path.bytes, [.path, .directory]))
        } catch {
            throw Failure(.rootFileSystem, error, "the new root")
        }
        writesNameFiles = wanted.writesNameFiles
        if writesNameFiles { NameFiles.write(wanted, root: commandsRootPath) }
        // The last of them may take away what is written to here.
        for mount in wanted.mounts { try apply(mount) }
        guard role == .guest else { return }
        do throws(Failure) { try NetworkSetup.apply(wanted.interfaces) } catch {
            // A kernel without a network is well enough for a guest that wants none.
            guard wanted.interfaces.isEmpty else { throw error }
            Self.report(error.text)
        }
    }

    /// Mounts the root and makes it `/`, or the root of commands alone.
    private func take(_ root: RootFileSystem, _ standard: StandardMounts) throws(Failure) {
        let base: ByteString = root.isForCommandsOnly ? "/outer" : "/.root"
        let lower: ByteString
        var options = root.options
        switch root.overlay {
        case .none: lower = base
        default: lower = "/.lower"
        }
        var source = root.source
        if let verity = root.verity {
            let disk = try VerifiedDisk(source, verity)
            source = disk.path
            verifiedDisk = disk
        }
        try mount(source, lower, root.fileSystem, root.isReadOnly ? [.readOnly] : [], options)
        switch root.overlay {
        case .none: break
        case .memory(let bytes):
            options = bytes > 0 ? "mode=0755,size=" + ByteString(bytes) : "mode=0755"
            try mount("tmpfs", "/.upper", "tmpfs", [], options)
        case .disk(let device, let fileSystem):
            try mount(device, "/.upper", fileSystem, [], "")
        }
        if root.overlay != .none {
            Self.makePath("/.upper/data")
            Self.makePath("/.upper/work")
            try mount("overlay", base, "overlay", [], "lowerdir=/.lower,upperdir=/.upper/data,workdir=/.upper/work")
        }
        if root.isForCommandsOnly {
            commandsRootPath = base
            return
        }
        try makeRoot(base, standard)
    }

    /// Puts a mounted file system in the place of the initramfs. Source: switch_root(8), what it does.
    private func makeRoot(_ base: ByteString, _ standard: StandardMounts) throws(Failure) {
        if let old = try? FileTree.open(ByteString("/").bytes, [.path, .directory]) { initramfs = Handle(old) }
        try? FileTree.remove(ByteString("/init").bytes)
        do throws(LinuxError) {
            for (part, isWanted) in [
                (ByteString("/dev"), standard.contains(.dev)), ("/proc", standard.contains(.proc)),
            ] {
                if !isWanted {
                    try? MountTable.unmount(part.bytes, isLazy: true)
                    continue
                }
                let target = base + part
                if (try? FileTree.facts(target.bytes)) == nil { Self.makePath(target) }
                try MountTable.mount(part.bytes, at: target.bytes, type: [], .move)
            }
            try MountTable.changeDirectory(base.bytes)
            try MountTable.mount(ByteString(".").bytes, at: ByteString("/").bytes, type: [], .move)
            try MountTable.changeRoot(ByteString(".").bytes)
            try MountTable.changeDirectory(ByteString("/").bytes)
        } catch {
            throw Failure(.rootFileSystem, error, "the image cannot become the root (has it /dev and /proc?)")
        }
    }

    /// The kernel's own file systems; `/dev` and `/proc` of a guest are there already.
    private func mountStandard(_ wanted: StandardMounts) {
        if !commandsRootPath.isEmpty {
            for (part, isWanted) in [
                (ByteString("/dev"), wanted.contains(.dev)), ("/proc", wanted.contains(.proc)),
                ("/sys", wanted.contains(.sys)), ("/run", wanted.contains(.run)),
            ] where isWanted {
                Self.mount(part, commandsRootPath + part, "", [.bind, .recursive])
            }
            return
        }
        guard role == .guest else { return }
        Self.mountKernelFileSystems(wanted)
        if wanted.contains(.dev) {
            for (name, target) in [
                (ByteString("/dev/fd"), ByteString("/proc/self/fd")), ("/dev/stdin", "/proc/self/fd/0"),
                ("/dev/stdout", "/proc/self/fd/1"), ("/dev/stderr", "/proc/self/fd/2"),
            ] {
                try? FileTree.makeSymbolicLink(name.bytes, to: target.bytes)
            }
        }
    }

    func apply(_ mount: AgentProtocol.Mount) throws(Failure) {
        var flags: MountFlags = []
        if mount.flags.contains(.readOnly) { flags.insert(.readOnly) }
        if mount.flags.contains(.noSetUserID) { flags.insert(.noSetUserID) }
        if mount.flags.contains(.noDevices) { flags.insert(.noDevices) }
        if mount.flags.contains(.noExecution) { flags.insert(.noExecution) }
        let target = commandsRootPath + mount.target
        if mount.flags.contains(.bind) {
            if !mount.source.isEmpty {
                try self.mount(commandsRootPath + mount.source, target, "", [.bind, .recursive], "")
            }
            // A bind takes its flags only when it is mounted once more.
            if !flags.isEmpty { try self.mount("", target, "", flags.union([.bind, .remount]), "") }
        } else if mount.fileSystem == Mount.settingsFileSystem {
            try applySettings(from: mount.source, at: target, flags.union([.noSetUserID, .noDevices, .noExecution]))
        } else {
            if mount.flags.contains(.fill) { try fill(mount) }
            try self.mount(mount.source, target, mount.fileSystem, flags, mount.options)
        }
    }

    /// The settings' files beside a link to them, so that they can be exchanged as one.
    private func applySettings(
        from device: ByteString, at target: ByteString, _ flags: MountFlags
    ) throws(Failure) {
        let files = SettingsFiles(device: device, folder: target + ".all")
        // Two generations of as many fields as there may be, each a file, and so a page. What is not there takes nothing.
        try mount("tmpfs", files.folder, "tmpfs", flags, "mode=0755,size=72m")
        try files.refresh()
        do throws(LinuxError) {
            // An image may have an empty folder there.
            try? FileTree.remove(target.bytes, isDirectory: true)
            let name = ByteString(files.folder.bytes[(files.folder.bytes.lastIndex(of: UInt8(ascii: "/")) ?? 0)...])
            try FileTree.makeSymbolicLink(target.bytes, to: ("." + name + "/current").bytes)
        } catch {
            throw Failure(.settings, error, "\"" + target + "\"")
        }
        settings = files
    }

    /// Gives a new file system what lies at its place, the place's own owner and permissions included.
    private func fill(_ mount: AgentProtocol.Mount) throws(Failure) {
        let place: ByteString = "/.volume"
        try self.mount(mount.source, commandsRootPath + place, mount.fileSystem, [], mount.options)
        do throws(LinuxError) {
            let volume = try open(place, [.readOnly, .directory])
            // The first program to see it is to find it empty.
            try? FileTree.remove(ByteString("lost+found").bytes, in: volume.number, isDirectory: true)
            if let folder = try? open(mount.target, [.path, .directory]) {
                let facts = try FileTree.facts(in: folder.number)
                try FileTree.setOwner(in: volume.number, user: facts.userID, group: facts.groupID)
                try FileTree.setPermissions(volume.number, facts.mode & 0o7777)
            }
        } catch {
            throw Failure(.mount, error, mount.source)
        }
        if (try? open(mount.target, [.path, .directory])) != nil {
            let root = try rootNumber()
            let sender = try FileSender(mount.target, root: root)
            let receiver = try FileReceiver(CopyIn(destination: place, keepsOwner: true), root: root)
            while let message = try sender.next() { _ = try receiver.take(message) }
        }
        // Before the host hears of it, which then never asks for it again.
        SystemControl.synchronize()
        do throws(LinuxError) {
            let path = commandsRootPath + place
            try MountTable.unmount(path.bytes)
            try FileTree.remove(path.bytes, isDirectory: true)
        } catch {
            throw Failure(.mount, error, mount.source)
        }
    }

    private func mount(
        _ source: ByteString, _ target: ByteString, _ type: ByteString, _ flags: MountFlags, _ options: ByteString
    ) throws(Failure) {
        do throws(LinuxError) {
            try Self.mountMakingTarget(source, target, type, flags, options)
        } catch {
            let what = "mount of " + source + " (" + type + ") on " + target
            throw Failure(target.hasPrefix("/.") ? .rootFileSystem : .mount, error, what)
        }
    }

    /// Before the end: what was written reaches the disks, also those that programs mounted themselves, and file systems
    /// that can be let go of are.
    func leave() {
        guard role == .guest else { return }
        SystemControl.synchronize()
        guard let initramfs else { return }
        do throws(LinuxError) {
            commandsRoot?.close()
            try MountTable.changeDirectory(initramfs.number)
            try MountTable.changeRoot(ByteString(".").bytes)
            // From the initramfs, `/..` is what lies above it: the image with everything in it.
            try MountTable.unmount(ByteString("/..").bytes, isLazy: true)
            try MountTable.unmount(ByteString("/.upper").bytes)
        } catch {
            // It was synchronised; its journal does the rest.
        }
        SystemControl.synchronize()
    }
}
