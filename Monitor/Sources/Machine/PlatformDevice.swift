import Jail
import LinuxCalls
import MachineConfiguration
import VirtioDevices

/// One virtio device in its window, and the thread that it has for itself, if any.
final class PlatformDevice {
    /// The device by what it is, for those who change it while it works, with the name that its configuration gave it.
    enum Handle {
        case drive(BlockDevice, VirtualMachineConfiguration.Drive)
        case backedDrive(VhostUserBlockDevice, identifier: String)
        case interface(NetDevice, identifier: String)
        case vsock(VsockDevice)
        case entropy(EntropyDevice)
        case balloon(BalloonDevice)
        case memory(MemoryDevice)
        case persistentMemory(PersistentMemoryDevice, identifier: String)
        case other
    }

    let transport: VirtioMMIOTransport
    /// What its configuration calls it; nil for a kind of which there is one.
    var identifier: String? {
        switch handle {
        case .drive(_, let drive): drive.id
        case .interface(_, let identifier), .persistentMemory(_, let identifier), .backedDrive(_, let identifier):
            identifier
        default: nil
        }
    }
    let handle: Handle
    private let ownLoop: EventLoop?
    private let role: ThreadRole
    private let beforeStart: (@Sendable () -> Void)?
    private let atEnd: (() -> Void)?
    /// A folder of this computer whose file system may hold the device's thread up for ever.
    private let hangingFolder: String?
    /// Whether the own loop has a thread. Of the machine's thread.
    private var isStarted = false

    /// - Parameters:
    ///   - ownLoop: the device's loop when it is not the machine's; `start` gives it a thread, which is ended by `end`.
    ///   - role: what that thread is for.
    ///   - hangingFolder: a folder that the device serves, whose file system, if somebody else serves it, may hold the device's
    ///     thread up for ever; nil: the end waits for the device as long as it takes.
    ///   - beforeStart: what that thread does first, before it is confined.
    ///   - atEnd: what else the device has to do at its end, on its loop's thread.
    init(
        _ transport: VirtioMMIOTransport, handle: Handle = .other, ownLoop: EventLoop? = nil,
        role: ThreadRole = .devices, hangingFolder: String? = nil, beforeStart: (@Sendable () -> Void)? = nil,
        atEnd: (() -> Void)? = nil
    ) {
        self.beforeStart = beforeStart
        self.transport = transport
        self.handle = handle
        self.hangingFolder = hangingFolder
        self.ownLoop = ownLoop
        self.role = role
        self.atEnd = atEnd
    }

    /// Starts the device's own thread, if it has one. The machine's builder serves its loop before.
    /// - Parameter inherits: whether the thread begins with the filter of this one.
    func start(_ confinement: Confinement, inherits: Bool = false) throws(LinuxError) {
        guard let loop = ownLoop else { return }
        let role = role
        loop.release()
        let prepare = beforeStart
        try startThread {
            prepare?()
            confinement.enter(role, inherits: inherits)
            loop.run()
        }
        isStarted = true
    }

    /// While true, no processor waits for the device's thread. For the machine's end, when they are to leave.
    func letProcessorsGo(_ isSo: Bool) { ownLoop?.letCallersGo(isSo) }

    /// Whether the end is not to wait for this device's thread as long as it takes.
    var mayHang: Bool { hangingFolder != nil }

    /// Stops serving for good: what was accepted is finished, nothing of the guest is touched any more.
    ///
    /// - Parameter patienceMilliseconds: for how long the device's thread is waited for.
    /// - Returns: the folder whose file system did not answer in time; the device's thread is left behind then.
    func end(patienceMilliseconds: UInt64 = .max) -> String? {
        // Without its thread this one does it.
        if !isStarted { ownLoop?.adopt() }
        let device = transport.device
        let atEnd = atEnd
        let isOver = device.loop.perform(patienceMilliseconds: patienceMilliseconds) {
            device.reset()
            atEnd?()
        }
        ownLoop?.stop()
        return isOver ? nil : hangingFolder
    }
}
