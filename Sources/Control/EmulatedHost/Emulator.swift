import ChildProcesses
import Glibc
import LinuxCalls

/// A QEMU process in the making: killed unless it is kept.
struct Emulator: ~Copyable {
    let identity: ProcessIdentity
    private let child: ChildProcess
    private let log: String
    private var isKept = false

    /// Starts QEMU in the template's folder, detached from this process's terminal and from its life.
    /// - Parameter alive: the lock that the emulator holds for as long as it runs.
    init(
        _ arguments: [String], in folder: String, settings: HostSettings, alive: borrowing FileLock
    ) throws(HostError) {
        for stale in [settings.controlSocket, settings.processIDFile, settings.consoleLog] { unsafe unlink(stale) }
        log = settings.emulatorLog
        // It takes this process's limit over, and has a descriptor for each connection and for each file that is open inside.
        _ = FolderCalls.raiseOpenFileLimit()
        do throws(LinuxError) {
            let output = try open(settings.emulatorLog, [.writeOnly, .create, .truncate], mode: 0o600)
            var start = ChildProcess.Settings(arguments)
            start.workingDirectory = folder
            start.descriptors = [1: output.number, 2: output.number, 3: alive.file.number]
            start.startsSession = true
            child = try ChildProcess(start)
        } catch {
            throw error.number == ENOENT
                ? HostError(
                    .missingPart, "\(settings.emulator) is not there; as root: apt-get install qemu-system-x86")
                : HostError(.emulatorEnded, "cannot start \(settings.emulator): \(error)")
        }
        identity =
            ProcessIdentity(running: child.identifier)
            ?? ProcessIdentity(identifier: child.identifier, startTicks: 0)
    }

    deinit {
        guard !isKept else { return }
        child.send(signal: SIGKILL)
        _ = child.wait()
    }

    /// Whether it still runs. Once it does not, nobody may wait for it any more but the end of this value.
    var isRunning: Bool { identity.isRunning }

    /// Lets it outlive this value, and this process. Should it end before this process does, nothing of it is left.
    mutating func keep() {
        isKept = true
        let child = child
        try? startThread { _ = child.wait() }
    }

    /// The error, with what QEMU itself said about it.
    func explained(_ error: HostError) -> HostError {
        let words = (TextFile.read(log) ?? "").split(separator: "\n").suffix(3).joined(separator: "; ")
        return words.isEmpty ? error : HostError(error.code, "\(error.message): \(words)")
    }
}
