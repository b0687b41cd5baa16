import AgentClient
import AgentProtocol
import Glibc
import LinuxCalls

/// A small Linux on an emulated processor that has virtualisation: where this machine's own KVM is of no use, guests run
/// in there. It is one QEMU process; it is started when it is needed and stays for the next command.
///
/// All commands of a user share it. Whichever needs it first starts it, the others wait; one that is killed while it
/// starts it leaves nothing that the next does not clean up.
public struct EmulatedHost: Sendable {
    public let settings: HostSettings

    public init(_ settings: HostSettings) { self.settings = settings }

    /// The running host; nil when there is none. Costs two small files to read.
    public func running() -> RunningHost? {
        guard let text = TextFile.read(settings.recordFile), let record = HostRecord(parsing: text),
            record.emulator.isRunning
        else { return nil }
        return RunningHost(record)
    }

    /// The running host, started first where there is none: from its template in a tenth of a second, or booted to make
    /// that template, once. One of another version is replaced when nobody uses it. Any number of processes may do this at
    /// once.
    /// - Parameter report: told what is being done when it takes long or starts something: a line for a person.
    public func start(report: (String) -> Void) throws(HostError) -> RunningHost {
        if let host = running(), isOfThisVersion(host) { return host }
        try HostFolder.make(settings.dataFolder)
        try HostFolder.make(settings.runtimeFolder)
        let lock = try FileLock.wait(for: settings.lockFile) {
            report("waiting for another command that is starting the emulated host")
        }
        defer { extendLifetime(lock) }
        if let host = running() {
            if isOfThisVersion(host) { return host }
            if isUsed(host) {
                report("using an emulated host of another version, which is busy; `swiftlet host stop` ends it")
                return host
            }
            report("replacing the emulated host, which is of another version")
            end(host, graceMilliseconds: 0)
        }
        let alive = try clearedLock()

        let kernel = try HostKernel.prepare(settings, report: report)
        let template = try HostTemplate.prepare(settings, kernel: kernel, alive: alive, report: report)
        report("starting the emulated host (this machine's KVM cannot run guests)")
        return try restore(template, kernel: kernel, alive: alive)
    }

    private func isOfThisVersion(_ host: RunningHost) -> Bool {
        guard let kernel = HostKernel(folder: settings.kernelFolder) else { return true }
        return host.record.fingerprint == HostTemplate.fingerprint(settings, kernel: kernel)
    }

    /// Whether ending it would end anything else. One that does not answer may be slow.
    private func isUsed(_ host: RunningHost) -> Bool {
        guard let load = try? host.load() else { return true }
        return load.processes > 0 || load.connections > 1
    }

    private func restore(
        _ template: HostTemplate, kernel: HostKernel, alive: borrowing FileLock
    ) throws(HostError) -> RunningHost {
        let command = EmulatorCommand(settings: settings)
        var emulator = try Emulator(command.restoring(), in: template.folder, settings: settings, alive: alive)
        do throws(HostError) {
            var control = try EmulatorControl.connect(settings.controlSocket) { emulator.isRunning }
            try HostTemplate.thaw(&control)
            let host = RunningHost(
                HostRecord(
                    emulator: emulator.identity, port: try control.forwardedPort(), secret: HostSecret.random(),
                    fingerprint: template.fingerprint,
                    startedSeconds: Int64(Clock.realTime.nanoseconds() / 1_000_000_000),
                    memoryMebibytes: settings.memoryMebibytes, processors: settings.processors))
            // The first connection's secret is the host's from then on.
            try host.adopt(kernel: kernel, idleSeconds: settings.idleSeconds)
            try HostFolder.write(Array(host.record.text.utf8), to: settings.recordFile)
            emulator.keep()
            return host
        } catch {
            // A template that cannot be restored is not kept: the next start makes a new one.
            if error.code != .silent { HostFolder.remove(template.folder) }
            throw emulator.explained(error)
        }
    }

    /// Ends the host: what runs in it is told to end, and killed when it does not.
    /// - Returns: false when none was running.
    @discardableResult
    public func stop(graceMilliseconds: UInt32 = 2000) throws(HostError) -> Bool {
        // Without the file nobody is starting one from this data folder, and what runs was started from another.
        let lock = unsafe access(settings.lockFile, F_OK) == 0 ? try FileLock.wait(for: settings.lockFile) : nil
        defer { extendLifetime(lock) }
        let host = running()
        if lock == nil, host == nil { return false }
        if let host { end(host, graceMilliseconds: graceMilliseconds) }
        _ = try clearedLock()
        return host != nil
    }

    /// Asks a host to power off; whoever holds the lock goes on with `clearedLock`, which ends one that does not.
    private func end(_ host: RunningHost, graceMilliseconds: UInt32) {
        try? host.powerOff(graceMilliseconds: graceMilliseconds)
        Self.wait(until: { !host.record.emulator.isRunning }, milliseconds: Int(graceMilliseconds) + 3000)
    }

    /// The lock that an emulator holds, free: what runs without being on record, or does not answer, is ended, and what
    /// an earlier one left is removed.
    private func clearedLock() throws(HostError) -> FileLock {
        let end = Clock.monotonic.nanoseconds() + 10_000_000_000
        while true {
            if let lock = try FileLock.take(settings.aliveFile) {
                for name in HostFolder.names(settings.runtimeFolder) where name != "alive" {
                    if name.hasSuffix(".log") { continue }
                    unsafe unlink("\(settings.runtimeFolder)/\(name)")
                }
                HostFolder.remove(settings.dataFolder + "/template-unfinished")
                return lock
            }
            leftover()?.send(signal: SIGKILL)
            guard Clock.monotonic.nanoseconds() < end else {
                throw HostError(
                    .silent, "an emulator of an earlier start cannot be ended; it holds \(settings.aliveFile)")
            }
            LinuxCalls.sleep(nanoseconds: 5_000_000)
        }
    }

    /// The emulator that holds the lock: on record, or known by the number that it wrote down itself and by what it has
    /// open, for that number may have gone to another process.
    private func leftover() -> ProcessIdentity? {
        if let text = TextFile.read(settings.recordFile), let record = HostRecord(parsing: text),
            record.emulator.isRunning
        {
            return record.emulator
        }
        guard let text = TextFile.read(settings.processIDFile), let line = text.split(separator: "\n").first,
            let number = Int32(line), let identity = ProcessIdentity(running: number),
            let arguments = TextFile.read("/proc/\(number)/cmdline"), arguments.contains(settings.processIDFile)
        else { return nil }
        return identity
    }

    private static func wait(until isOver: () -> Bool, milliseconds: Int) {
        let end = Clock.monotonic.nanoseconds() + UInt64(milliseconds) * 1_000_000
        while !isOver(), Clock.monotonic.nanoseconds() < end { LinuxCalls.sleep(nanoseconds: 5_000_000) }
    }
}

/// Secrets that nobody can guess.
enum HostSecret {
    static func random() -> Secret {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<Secret.byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
        return Secret(bytes) ?? .none
    }
}
