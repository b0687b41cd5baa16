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
        for interface in configuration.networkInterfaces { devices.append(try network(interface)) }
        if let vsock = configuration.vsock { devices.append(try self.vsock(vsock)) }
        if configuration.hasEntropyDevice { devices.append(try entropy()) }
        if let balloon = configuration.balloon { devices.append(try self.balloon(balloon)) }
        return devices
    }

    private func block(_ drive: VirtualMachineConfiguration.Drive) throws(MachineError) -> PlatformDevice {
        let backend = drive.segments.isEmpty ? try file(of: drive) : try DriveSegments(drive).open()
        do throws(LinuxError) {
            // A thread of its own, so that a slow disk holds up nobody else.
            let loop = try EventLoop()
            let device = BlockDevice(backend, serial: drive.id, engine: drive.ioEngine.blockEngine, loop: loop)
            device.whenHostFails = { error, index, offset in
                // For whoever watches the host's side: the guest knows already.
                let place =
                    drive.segments.isEmpty ? "\"\(drive.pathOnHost)\"" : "segment \(index) \"\(drive.segments[index])\""
                writeToStandardError(
                    "swiftlet-vmm: drive \"\(drive.id)\", \(place): \(error) at byte \(offset) of the drive; the guest is "
                        + "told, and further errors of this drive are not reported\n")
            }
            let transport = try VirtioMMIOTransport(device: device, memory: memory)
            try startThread { loop.run() }
            return PlatformDevice(transport, ownLoop: loop)
        } catch {
            throw .system(doing: "prepare drive \"\(drive.id)\"", error)
        }
    }

    private func file(of drive: VirtualMachineConfiguration.Drive) throws(MachineError) -> BlockBackend {
        do throws(LinuxError) {
            return try BlockBackend(
                open(drive.pathOnHost, drive.isReadOnly ? .readOnly : .readWrite), isReadOnly: drive.isReadOnly,
                cache: drive.cacheType == .writeback ? .writeback : .unsafe)
        } catch {
            throw .file(purpose: "drive \"\(drive.id)\"", path: drive.pathOnHost, error)
        }
    }

    private func network(
        _ interface: VirtualMachineConfiguration.NetworkInterface
    ) throws(MachineError) -> PlatformDevice {
        let name = "network interface \"\(interface.id)\""
        let tap: TapInterface
        do throws(NetError) { tap = try attach(interface) } catch {
            throw .device("\(name): \(error.description)")
        }
        var mac: MACAddress?
        if let bytes = interface.guestMAC {
            mac = MACAddress(bytes)
            if mac == nil { throw .device("\(name): guest_mac is a group's address; use a station's") }
        }
        let device = NetDevice(tap, mac: mac, mtu: interface.mtu, loop: loop)
        do throws(LinuxError) {
            return PlatformDevice(try VirtioMMIOTransport(device: device, memory: memory))
        } catch {
            throw .system(doing: "prepare \(name)", error)
        }
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

    private func balloon(_ balloon: VirtualMachineConfiguration.Balloon) throws(MachineError) -> PlatformDevice {
        do throws(LinuxError) {
            let device = try BalloonDevice(
                targetMebibytes: balloon.amountMebibytes,
                isDeflatingOnOutOfMemory: balloon.isDeflatingOnOutOfMemory,
                statisticsIntervalSeconds: balloon.statisticsIntervalSeconds,
                isReportingFreePages: balloon.isReportingFreePages, loop: loop)
            return PlatformDevice(try VirtioMMIOTransport(device: device, memory: memory))
        } catch {
            throw .system(doing: "prepare the balloon device", error)
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
            return PlatformDevice(try VirtioMMIOTransport(device: device, memory: memory)) { device.shutDown() }
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
