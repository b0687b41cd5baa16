import GuestBoot
import GuestMemory
import LinuxCalls
import MachineConfiguration

/// The files that a guest starts from, opened.
struct BootFiles {
    private let kernelPath: String
    private let kernel: OpenFile
    private let initialRamDisks: [OpenFile]

    /// Shares a descriptor among the copies of this value.
    private final class OpenFile {
        let descriptor: FileDescriptor
        init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
    }

    init(_ source: VirtualMachineConfiguration.BootSource) throws(MachineError) {
        kernelPath = source.kernelImagePath
        kernel = OpenFile(try Self.open(source.kernelImagePath, purpose: "kernel"))
        var files: [OpenFile] = []
        for path in source.initrdPaths { files.append(OpenFile(try Self.open(path, purpose: "initrd"))) }
        initialRamDisks = files
    }

    private static func open(_ path: String, purpose: String) throws(MachineError) -> FileDescriptor {
        do throws(LinuxError) {
            // A pipe that nobody writes to must not hold up a monitor that hears no signal yet.
            return try LinuxCalls.open(path, [.readOnly, .nonBlocking])
        } catch {
            throw .file(purpose: purpose, path: path, error)
        }
    }

    /// Puts kernel, initrd and tables into guest memory.
    func load(
        _ configuration: VirtualMachineConfiguration, into memory: GuestMemory, deviceCount: Int, hasConsole: Bool
    ) throws(MachineError) -> PreparedBoot {
        var windows: [VirtioDeviceWindow] = []
        for index in 0..<deviceCount {
            windows.append(
                VirtioDeviceWindow(
                    start: UInt32(PlatformLayout.deviceWindow(index)),
                    interrupt: PlatformLayout.firstDeviceInterrupt + UInt32(index)))
        }
        var platform = PlatformDescription(
            processorIdentifiers: Array(0..<configuration.virtualCPUCount), virtioDevices: windows,
            serialPort: hasConsole ? SerialPortDescription() : nil,
            powerButtonInterrupt: PlatformLayout.powerButtonInterrupt,
            generationInterrupt: PlatformLayout.generationInterrupt)
        platform.announcesKeyboardController = configuration.announcesKeyboard
        let request = BootRequest(
            kernel: kernel.descriptor.number, initialRamDisks: initialRamDisks.map { $0.descriptor.number },
            commandLine: configuration.bootSource.bootArguments, platform: platform,
            bootProtocol: configuration.bootSource.bootProtocol.guestBootProtocol, randomSeed: randomBytes(64))
        do throws(BootError) {
            let boot = try request.prepare(in: memory)
            do throws(GuestMemoryError) {
                try MachineGeneration.place(randomBytes(MachineGeneration.byteCount), in: memory)
            } catch { throw .guestMemory(error) }
            return boot
        } catch {
            throw .boot(error, kernelPath: kernelPath)
        }
    }
}

extension VirtualMachineConfiguration.BootSource.BootProtocol {
    fileprivate var guestBootProtocol: BootProtocol? {
        switch self {
        case .automatic: nil
        case .linux64: .linux64
        case .pvh: .pvh
        }
    }
}
