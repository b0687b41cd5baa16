import GuestMemory
import LinuxCalls
import MachineConfiguration
import VirtioDevices

/// Makes the virtio devices that a configuration asks for, in the order in which the guest names them: the root drive
/// first, then the other drives, the network interfaces, vsock, entropy, balloon.
struct DeviceAssembly {
    let memory: GuestMemory
    let loop: EventLoop

    func devices(_ configuration: VirtualMachineConfiguration) throws(MachineError) -> [PlatformDevice] {
        var devices: [PlatformDevice] = []
        for drive in configuration.drives where drive.isRootDevice { devices.append(try block(drive)) }
        for drive in configuration.drives where !drive.isRootDevice { devices.append(try block(drive)) }
        if let vsock = configuration.vsock { devices.append(try self.vsock(vsock)) }
        if configuration.hasEntropyDevice { devices.append(try entropy()) }
        return devices
    }

    private func block(_ drive: VirtualMachineConfiguration.Drive) throws(MachineError) -> PlatformDevice {
        do throws(LinuxError) {
            let backend = try BlockBackend(
                open(drive.pathOnHost, drive.isReadOnly ? .readOnly : .readWrite), isReadOnly: drive.isReadOnly,
                cache: drive.cacheType == .writeback ? .writeback : .unsafe)
            // A thread of its own, so that a slow disk holds up nobody else.
            let loop = try EventLoop()
            let device = BlockDevice(backend, serial: drive.id, engine: drive.ioEngine.blockEngine, loop: loop)
            let transport = try VirtioMMIOTransport(device: device, memory: memory)
            try startThread { loop.run() }
            return PlatformDevice(transport, ownLoop: loop)
        } catch {
            throw .file(purpose: "drive \"\(drive.id)\"", path: drive.pathOnHost, error)
        }
    }

    private func vsock(_ vsock: VirtualMachineConfiguration.Vsock) throws(MachineError) -> PlatformDevice {
        let backend: VsockBackend
        do throws(VsockError) {
            backend = try VsockBackend(path: vsock.udsPath)
        } catch {
            throw .device(error.description)
        }
        do throws(LinuxError) {
            let device = try VsockDevice(guestCID: vsock.guestCID, backend: backend, loop: loop)
            return PlatformDevice(try VirtioMMIOTransport(device: device, memory: memory))
        } catch {
            throw .system(doing: "prepare the vsock device", error)
        }
    }

    private func entropy() throws(MachineError) -> PlatformDevice {
        do throws(LinuxError) {
            return PlatformDevice(try VirtioMMIOTransport(device: EntropyDevice(loop: loop), memory: memory))
        } catch {
            throw .system(doing: "prepare the entropy device", error)
        }
    }
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
