import GuestMemory
import Jail
public import LinuxCalls
import MachineConfiguration
import VirtioDevices

/// A process that serves a drive's requests (vhost-user), connected to before the machine is made.
public struct DriveBackend: Sendable {
    public enum Refusal: Error {
        /// Nobody can be connected to there.
        case unreachable(LinuxError)
        /// Who answers there cannot serve a drive: why, in words.
        case unfit(String)
    }

    public let drive: String
    let path: String
    let connection: VhostUserConnection

    /// - Parameters:
    ///   - drive: the drive's name.
    ///   - path: the socket that the process listens on.
    public init(drive: String, path: String) throws(Refusal) {
        self.drive = drive
        self.path = path
        do throws(VhostUserError) { connection = try VhostUserConnection(path: path) } catch {
            if case .unreachable(let error) = error { throw .unreachable(error) }
            throw .unfit("\(error)")
        }
    }

    /// Whether the backend takes no writes.
    public var isReadOnly: Bool { connection.isReadOnly }
}

extension DeviceAssembly {
    /// A drive with a socket.
    @inline(never)
    func backed(
        _ drive: VirtualMachineConfiguration.Drive, by socket: String
    ) throws(MachineError) -> PlatformDevice {
        let name = "drive \"\(drive.id)\""
        // A restored machine's is its own.
        guard memory.backing == .shared else {
            throw .device("\(name): no backend can be given the memory of this machine")
        }
        let connection: VhostUserConnection
        if let backend = backends.first(where: { $0.drive == drive.id && $0.path == socket }) {
            connection = backend.connection
        } else {
            do throws(VhostUserError) { connection = try VhostUserConnection(path: socket) } catch {
                throw .device("\(name), socket \"\(socket)\": \(error)")
            }
        }
        do throws(LinuxError) {
            // A thread of its own: a backend may take its time.
            let loop = try EventLoop()
            loop.adopt()
            let device = try VhostUserBlockDevice(
                connection, isWriteback: drive.cacheType == .writeback, loop: loop)
            device.whenBackendIsLost = { error in
                writeToStandardError(
                    "swiftlet-vmm: \(name): \(error); the guest is told, and has this drive no more\n")
            }
            // The backend could make the memory's file shorter.
            reportLostPages()
            return PlatformDevice(
                try VirtioMMIOTransport(device: device, memory: memory),
                handle: .backedDrive(device, identifier: drive.id), ownLoop: loop, role: .drive)
        } catch {
            throw .system(doing: "prepare \(name)", error)
        }
    }
}

extension Machine {
    /// Has a drive's backend say anew what it is, and the guest told to look at it.
    /// - Throws: why not, in words.
    public func refreshDrive(_ identifier: String) throws(MachineError) {
        for device in devices {
            guard case .backedDrive(let device, identifier) = device.handle else { continue }
            var failure: VhostUserError?
            device.loop.perform {
                do throws(VhostUserError) { try device.refresh() } catch { failure = error }
            }
            if let failure { throw .device("\(failure)") }
            return
        }
        throw .device("there is no such drive")
    }
}
