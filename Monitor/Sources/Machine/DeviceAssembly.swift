import GuestMemory
import Jail
import KVMHost
import LinuxCalls
import MachineConfiguration
import MetadataService
import SharedFolders
import VirtioDevices

/// Makes the virtio devices that a configuration asks for, in the order in which the guest names them: the root drive
/// first, then the other drives, the network interfaces, shared folders, vsock, entropy, balloon, files as memory, pluggable
/// memory.
struct DeviceAssembly {
    let memory: GuestMemory
    let loop: EventLoop
    let virtualMachine: KVMVirtualMachine
    /// What guests are told by interfaces that it names.
    let metadata: MetadataStore?
    /// Those that have been connected to already.
    let backends: [DriveBackend]

    func devices(_ configuration: VirtualMachineConfiguration) throws(MachineError) -> [PlatformDevice] {
        var devices: [PlatformDevice] = []
        for drive in configuration.drives where drive.isRootDevice { devices.append(try block(drive)) }
        for drive in configuration.drives where !drive.isRootDevice { devices.append(try block(drive)) }
        for interface in configuration.networkInterfaces { devices.append(try network(interface)) }
        for folder in configuration.sharedFolders {
            devices.append(try share(folder, of: configuration))
        }
        if let vsock = configuration.vsock { devices.append(try self.vsock(vsock)) }
        if configuration.hasEntropyDevice { devices.append(try entropy(configuration.entropyLimits)) }
        if let balloon = configuration.balloon { devices.append(try self.balloon(balloon)) }
        for file in configuration.persistentMemories { devices.append(try persistent(file)) }
        if let memory = configuration.pluggableMemory { devices.append(try pluggable(memory)) }
        return devices
    }

    private func block(_ drive: VirtualMachineConfiguration.Drive) throws(MachineError) -> PlatformDevice {
        if let socket = drive.socket { return try backed(drive, by: socket) }
        return try block(drive, drive.segments.isEmpty ? try file(of: drive) : try DriveSegments(drive).open(), nil)
    }

    /// - Parameter lines: those of the place that it gets, which takes a ring from nobody: its thread may make none.
    func block(
        _ drive: VirtualMachineConfiguration.Drive, _ backend: consuming BlockBackend, _ lines: DeviceSlot.Lines?
    ) throws(MachineError) -> PlatformDevice {
        do throws(LinuxError) {
            // A thread of its own, so that a slow disk holds up nobody else.
            let loop = try EventLoop()
            loop.adopt()
            let engine: BlockEngine = lines == nil ? drive.ioEngine.blockEngine : .synchronous
            let device = BlockDevice(backend, serial: drive.id, engine: engine, loop: loop)
            device.whenHostFails = { error, index, offset in
                // For whoever watches the host's side: the guest knows already. The control plane reads it (`DiskFailure`).
                let place =
                    drive.segments.isEmpty ? "\"\(drive.pathOnHost)\"" : "segment \(index) \"\(drive.segments[index])\""
                writeToStandardError(
                    "swiftlet-vmm: drive \"\(drive.id)\", \(place): \(error) at byte \(offset) of the drive; the guest is "
                        + "told, and further errors of this drive are not reported\n")
            }
            let transport = try self.transport(device, lines)
            // Limits may come later, on threads that may make no timer.
            try device.setLimits { limiter, handler, token throws(LinuxError) in
                try limiter.prepare(handler: handler, token: token)
            }
            if let limits = drive.limits { try device.setLimits(limits.apply) }
            return PlatformDevice(
                transport, handle: .drive(device, drive), ownLoop: loop, role: .drive,
                atEnd: lines == nil ? nil : { device.letGo() })
        } catch {
            throw .system(doing: "prepare drive \"\(drive.id)\"", error)
        }
    }

    func file(of drive: VirtualMachineConfiguration.Drive) throws(MachineError) -> BlockBackend {
        do throws(LinuxError) {
            return try BlockBackend(
                path: drive.pathOnHost, isReadOnly: drive.isReadOnly,
                cache: drive.cacheType == .writeback ? .writeback : .unsafe)
        } catch {
            throw .file(purpose: "drive \"\(drive.id)\"", path: drive.pathOnHost, error)
        }
    }

    func network(
        _ interface: VirtualMachineConfiguration.NetworkInterface, _ lines: DeviceSlot.Lines? = nil
    ) throws(MachineError) -> PlatformDevice {
        let name = "network interface \"\(interface.id)\""
        let tap: TapInterface
        do throws(NetError) { tap = try attach(interface) } catch {
            throw .device("\(name): \(error.description)")
        }
        return try network(interface, tap, name, lines)
    }

    /// - Parameter lines: those of the place that it gets.
    func network(
        _ interface: VirtualMachineConfiguration.NetworkInterface, _ tap: consuming TapInterface, _ name: String,
        _ lines: DeviceSlot.Lines?
    ) throws(MachineError) -> PlatformDevice {
        var mac: MACAddress?
        if let bytes = interface.guestMAC {
            mac = MACAddress(bytes)
            if mac == nil { throw .device("\(name): guest_mac is a group's address; use a station's") }
        }
        let device = NetDevice(tap, mac: mac, mtu: interface.mtu, loop: loop)
        do throws(LinuxError) {
            try device.receiveLimiter.makeTimer()
            try device.transmitLimiter.makeTimer()
            var failure: LinuxError?
            loop.perform {
                do throws(LinuxError) { try Self.limit(device, interface) } catch { failure = error }
            }
            if let failure { throw failure }
            if let endpoint = metadata?.endpoint(ofInterface: interface.id, mtu: interface.mtu) {
                try device.serve(endpoint)
            }
            return PlatformDevice(
                try transport(device, lines), handle: .interface(device, identifier: interface.id),
                atEnd: lines == nil ? nil : { device.letGo() })
        } catch {
            throw .system(doing: "prepare \(name)", error)
        }
    }

    private static func limit(
        _ device: NetDevice, _ interface: VirtualMachineConfiguration.NetworkInterface
    ) throws(LinuxError) {
        for set in [device.setReceiveLimits, device.setTransmitLimits] {
            try set { limiter, handler, token throws(LinuxError) in
                try limiter.prepare(handler: handler, token: token)
            }
        }
        if let limits = interface.receiveLimits { try device.setReceiveLimits(limits.apply) }
        if let limits = interface.transmitLimits { try device.setTransmitLimits(limits.apply) }
    }

    private func transport(
        _ device: any VirtioDevice, _ lines: DeviceSlot.Lines?
    ) throws(LinuxError) -> VirtioMMIOTransport {
        guard let lines else { return try VirtioMMIOTransport(device: device, memory: memory) }
        return VirtioMMIOTransport(
            device: device, memory: memory, interrupt: lines.interrupt, doorbells: lines.doorbells)
    }

    /// What is made here is unmade when its last descriptor is closed.
    private func attach(
        _ interface: VirtualMachineConfiguration.NetworkInterface
    ) throws(NetError) -> TapInterface {
        let tap = try TapInterface(name: interface.hostDeviceName)
        if let address = interface.hostAddress {
            try TapInterface.setAddress(
                address.bytes, prefixLength: address.prefixLength, ofInterface: interface.hostDeviceName)
        }
        return tap
    }

    private func share(
        _ folder: VirtualMachineConfiguration.SharedFolder, of configuration: VirtualMachineConfiguration
    ) throws(MachineError) -> PlatformDevice {
        // A file that a guest remembers costs it more than a KiB of its own memory.
        var settings = FolderSettings(
            isReadOnly: folder.isReadOnly, nodeLimit: Int(clamping: min(configuration.memoryMebibytes << 10, 1 << 22)))
        settings.openFileLimit = FolderSettings.openFiles(
            of: FolderCalls.raiseOpenFileLimit(), folders: configuration.sharedFolders.count)
        if let owner = folder.owner { settings.owner = .init(user: owner.user, group: owner.group) }
        let service: FolderService
        do throws(LinuxError) {
            service = try FolderService(open(folder.pathOnHost, [.path, .directory]), settings)
        } catch {
            throw .file(purpose: "shared folder \"\(folder.tag)\"", path: folder.pathOnHost, error)
        }
        do throws(LinuxError) {
            // A thread of its own, as for a drive.
            let loop = try EventLoop()
            loop.adopt()
            let device = FileSystemDevice(tag: folder.tag, service, loop: loop)
            let transport = try VirtioMMIOTransport(device: device, memory: memory)
            guard let names = FolderCalls.openNames() else { throw LinuxError.noEntry }
            let shared = SharedDescriptor(names)
            return PlatformDevice(
                transport, ownLoop: loop, role: .folder, hangingFolder: folder.pathOnHost,
                beforeStart: {
                    do throws(LinuxError) { try FolderCalls.becomeServer(names: shared.descriptor) } catch {
                        writeToStandardError("swiftlet-vmm: a shared folder cannot be served: \(error)\n")
                        exitProcess(1)
                    }
                })
        } catch {
            throw .system(doing: "prepare the shared folder \"\(folder.tag)\"", error)
        }
    }

    private func balloon(_ balloon: VirtualMachineConfiguration.Balloon) throws(MachineError) -> PlatformDevice {
        do throws(LinuxError) {
            let device = try BalloonDevice(
                targetMebibytes: balloon.amountMebibytes,
                isDeflatingOnOutOfMemory: balloon.isDeflatingOnOutOfMemory,
                statisticsIntervalSeconds: balloon.statisticsIntervalSeconds,
                isHintingFreePages: balloon.isHintingFreePages,
                isReportingFreePages: balloon.isReportingFreePages, loop: loop)
            return PlatformDevice(try VirtioMMIOTransport(device: device, memory: memory), handle: .balloon(device))
        } catch {
            throw .system(doing: "prepare the balloon device", error)
        }
    }

    private func persistent(
        _ configuration: VirtualMachineConfiguration.PersistentMemory
    ) throws(MachineError) -> PlatformDevice {
        let isReadOnly = configuration.isReadOnly
        do throws(LinuxError) {
            let file = try open(
                configuration.pathOnHost, isReadOnly ? [.readOnly, .nonBlocking] : [.readWrite, .nonBlocking])
            let attachment = try memory.attach(
                file: file, fileBytes: BlockBackend.lengthBytes(of: file), isReadOnly: isReadOnly)
            // A thread of its own, as for a drive: a flush takes as long as the disk does.
            let loop = try EventLoop()
            loop.adopt()
            let device = PersistentMemoryDevice(file, attachment, loop: loop)
            try device.setLimits { limiter, handler, token throws(LinuxError) in
                try limiter.prepare(handler: handler, token: token)
            }
            if let limits = configuration.limits { try device.setLimits(limits.apply) }
            reportLostPages()
            return PlatformDevice(
                try VirtioMMIOTransport(device: device, memory: memory),
                handle: .persistentMemory(device, identifier: configuration.id), ownLoop: loop, role: .drive)
        } catch {
            throw .file(purpose: "pmem \"\(configuration.id)\"", path: configuration.pathOnHost, error)
        }
    }

    private func pluggable(
        _ configuration: VirtualMachineConfiguration.PluggableMemory
    ) throws(MachineError) -> PlatformDevice {
        let slotBytes = configuration.slotMebibytes << 20
        do throws(LinuxError) {
            let attachment = try memory.attachPluggable(
                lengthBytes: configuration.totalMebibytes << 20, blockBytes: configuration.blockMebibytes << 20)
            let device = MemoryDevice(attachment, slotBytes: slotBytes, loop: loop) {
                [virtualMachine] number, isPlugged throws(LinuxError) in
                do throws(KVMError) {
                    try virtualMachine.setSlot(number, of: attachment, slotBytes: slotBytes, isPlugged: isPlugged)
                } catch { throw error.cause }
            }
            return PlatformDevice(try VirtioMMIOTransport(device: device, memory: memory), handle: .memory(device))
        } catch {
            throw .system(doing: "prepare memory-hotplug", error)
        }
    }

    private func vsock(_ vsock: VirtualMachineConfiguration.Vsock) throws(MachineError) -> PlatformDevice {
        let backend: VsockBackend
        do throws(VsockError) {
            if let listener = vsock.listener {
                backend = try VsockBackend(path: vsock.udsPath, listening: FileDescriptor(owning: listener))
            } else {
                backend = try VsockBackend(path: vsock.udsPath)
            }
        } catch {
            throw .device(error.description)
        }
        do throws(LinuxError) {
            let device = try VsockDevice(guestCID: vsock.guestCID, backend: backend, loop: loop)
            return PlatformDevice(
                try VirtioMMIOTransport(device: device, memory: memory), handle: .vsock(device),
                atEnd: { device.shutDown() })
        } catch {
            throw .system(doing: "prepare the vsock device", error)
        }
    }

    private func entropy(_ limits: RateLimits?) throws(MachineError) -> PlatformDevice {
        do throws(LinuxError) {
            let device = EntropyDevice(loop: loop)
            if let limits { try device.setLimits(limits.apply) }
            return PlatformDevice(try VirtioMMIOTransport(device: device, memory: memory), handle: .entropy(device))
        } catch {
            throw .system(doing: "prepare the entropy device", error)
        }
    }
}

/// A descriptor that a thread is handed.
private final class SharedDescriptor: Sendable {
    let descriptor: FileDescriptor
    init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
}

extension VirtualMachineConfiguration.Drive.IOEngine {
    fileprivate var blockEngine: BlockEngine {
        switch self {
        case .automatic: .automatic
        case .synchronous: .synchronous
        case .asynchronous: .asynchronous
        }
    }
}
