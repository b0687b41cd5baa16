import Jail
import LinuxCalls
import Machine
import MachineConfiguration
import MetadataService
import MonitorAPI
import WireFormats

/// Serves what the API has for a machine that runs, on a socket of its own: the control of a machine whose configuration
/// came from a file.
///
/// Made before the enclosure is entered, for it binds the socket and opens the folder; afterwards no file is opened but
/// below that folder.
final class ControlFace: @unchecked Sendable {
    /// Every request of a machine that runs is short.
    private static let maximumBodyBytes = 16 << 10

    private let socketPath: String
    private let folder: FileDescriptor
    private let owner: MachineOwner
    private let service: APIService
    private let loop: EventLoop
    private var server: APIServer?

    /// - Parameters:
    ///   - document: the configuration as it was given, which requests ask for and change.
    ///   - isPaused: whether the machine begins by standing still.
    init(
        _ control: VirtualMachineConfiguration.Control, _ document: JSONValue, isPaused: Bool
    ) throws(ControlFault) {
        socketPath = control.socketPath
        do throws(LinuxError) { folder = try open(control.folder, [.readOnly, .directory]) } catch {
            throw ControlFault(description: "control.folder: \"\(control.folder)\": \(error)")
        }
        let log = MonitorLog(identifier: "swiftlet")
        // Standard output is the guest's console.
        log.set(level: .off)
        let metadata = MetadataStore(limitBytes: 0)
        owner = MachineOwner(log: log, metadata: metadata, folder: folder.number)
        service = APIService(
            identifier: "swiftlet", control: owner, log: log,
            metrics: MonitorMetrics(log: log, startupMicroseconds: 0, startupProcessorMicroseconds: 0),
            metadata: metadata)
        service.adopt(document, isPaused: isPaused)
        do throws(LinuxError) {
            loop = try EventLoop()
            server = try APIServer(
                UnixSocket.listen(socketPath), loop: loop, maximumBodyBytes: Self.maximumBodyBytes,
                takesDescriptors: true
            ) { [service, owner] request, passed in
                let parts = request.path.utf8.split(separator: 0x2f).map { String(decoding: $0, as: UTF8.self) }
                // Nobody in this guest reads what would be stored there.
                if parts.first == "mmds" { return .fault("This machine has no metadata service.") }
                // Which pages it touched is told by /proc, which the enclosure leaves out.
                if parts == ["swiftlet", "working-set"] {
                    return .fault("What this machine touched cannot be seen in its jail.")
                }
                if let answer = Attachments(service: service, owner: owner).answer(request, parts, passed) {
                    return answer
                }
                return service.answer(request)
            }
        } catch {
            throw ControlFault(description: "control.socket_path: \"\(control.socketPath)\": \(error)")
        }
    }

    /// Serves on a thread of its own from the moment at which the machine runs.
    func start(_ machine: Machine, _ confinement: Confinement) throws(LinuxError) {
        owner.take(machine)
        machine.seesPageTable = false
        // Signals are for the main thread, but the one by which a filter tells what it refused.
        let before = try blockSignals(SignalSet(bits: ~SignalSet(SignalNumber.badSystemCall).bits))
        defer { _ = try? setBlockedSignals(before) }
        try startThread { [self] in
            confinement.enter(.control)
            machine.waitUntilServed()
            loop.run()
        }
    }

    /// The socket's name goes; who is connected is disconnected by the process's end.
    func removeSocket() { try? removeFile(socketPath) }
}

/// Why the machine cannot be controlled.
struct ControlFault: Error, CustomStringConvertible {
    let description: String
}
