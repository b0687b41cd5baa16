import Glibc
import LinuxCalls

/// A host that has booted and waits for its first connection, frozen in two files: its memory, and the rest of its state.
///
/// Restoring maps the memory privately and takes a tenth of a second; booting takes some. A template is made once for
/// each version of what it is made from. It holds no secret.
struct HostTemplate: Equatable, Sendable {
    let folder: String
    let fingerprint: String

    /// How long a boot may take: 4 s on an idle machine, much more on a loaded one.
    private static let bootMilliseconds: UInt64 = 300_000
    /// What the agent says on the console when it listens.
    private static let readyMark = "swiftlet-host: ready"

    /// The template for these settings, made first where it is missing.
    static func prepare(
        _ settings: HostSettings, kernel: HostKernel, alive: borrowing FileLock, report: (String) -> Void
    ) throws(HostError) -> HostTemplate {
        let command = EmulatorCommand(settings: settings)
        let fingerprint = fingerprint(settings, kernel: kernel)
        let folder = "\(settings.dataFolder)/template-\(fingerprint)"
        let template = HostTemplate(folder: folder, fingerprint: fingerprint)
        // The folder gets its name when it is complete.
        if unsafe access(folder, R_OK | X_OK) == 0 { return template }

        report("booting the emulated host, once; later starts take a tenth of a second")
        for name in HostFolder.names(settings.dataFolder) where name.hasPrefix("template-") {
            HostFolder.remove("\(settings.dataFolder)/\(name)")
        }
        let scratch = "\(settings.dataFolder)/template-unfinished"
        try HostFolder.make(scratch)
        try HostFolder.write(
            kernel.initialFileSystem(agent: settings.agentPath), to: scratch + "/initial")
        let emulator = try Emulator(
            command.making(kernel: kernel.image), in: scratch, settings: settings, alive: alive)
        do throws(HostError) {
            try waitUntilReady(settings.consoleLog, emulator)
            var control = try EmulatorControl.connect(settings.controlSocket) { emulator.isRunning }
            try freeze(&control)
        } catch {
            throw emulator.explained(error)
        }
        _ = consume emulator
        unsafe unlink(scratch + "/initial")
        try HostFolder.move(scratch, to: folder)
        return template
    }

    /// What the template for these settings is made from, wherever it lies.
    static func fingerprint(_ settings: HostSettings, kernel: HostKernel) -> String {
        var fingerprint = Fingerprint()
        fingerprint.add("template 1")
        fingerprint.add(EmulatorCommand(settings: settings).fingerprintText)
        fingerprint.add(kernel.bootModules.joined(separator: "\n"))
        fingerprint.add(contentOf: settings.agentPath)
        fingerprint.add(file: kernel.image)
        fingerprint.add(file: HostFacts.program(settings.emulator) ?? settings.emulator)
        return fingerprint.text
    }

    private static func waitUntilReady(_ console: String, _ emulator: borrowing Emulator) throws(HostError) {
        let end = Clock.monotonic.nanoseconds() + bootMilliseconds * 1_000_000
        while TextFile.read(console)?.contains(readyMark) != true {
            let last = (TextFile.read(console) ?? "").split(separator: "\n").suffix(3).joined(separator: "; ")
            guard emulator.isRunning else {
                throw HostError(.emulatorEnded, "the emulated host ended while it booted; it said: \(last)")
            }
            guard Clock.monotonic.nanoseconds() < end else {
                throw HostError(.notReady, "the emulated host did not become ready; it said: \(last)")
            }
            LinuxCalls.sleep(nanoseconds: 20_000_000)
        }
        // Let what the boot left behind settle, so that no restored host has to do it again.
        LinuxCalls.sleep(nanoseconds: 500_000_000)
    }

    /// Writes the state beside the memory, which is in its file already.
    private static func freeze(_ control: inout EmulatorControl) throws(HostError) {
        try control.perform("migrate-set-capabilities", leaveMemoryAlone)
        try control.perform("stop")
        try control.perform("migrate", #"{"uri":"exec:cat > state"}"#)
        let end = Clock.monotonic.nanoseconds() + 60_000_000_000
        while true {
            let status = try control.perform("query-migrate").string("status") ?? ""
            if status == "completed" { break }
            guard status != "failed", Clock.monotonic.nanoseconds() < end else {
                throw HostError(
                    .notReady, "the emulated host's state could not be saved (\(status)); is the disk full?")
            }
            LinuxCalls.sleep(nanoseconds: 10_000_000)
        }
    }

    private static let leaveMemoryAlone = #"{"capabilities":[{"capability":"x-ignore-shared","state":true}]}"#

    /// Makes a fresh emulator into the host that was frozen.
    static func thaw(_ control: inout EmulatorControl) throws(HostError) {
        try control.perform("migrate-set-capabilities", leaveMemoryAlone)
        try control.perform("migrate-incoming", #"{"uri":"exec:cat state"}"#)
        let end = Clock.monotonic.nanoseconds() + UInt64(EmulatorControl.patienceMilliseconds) * 1_000_000
        while true {
            switch try control.perform("query-status").string("status") ?? "" {
            case "running": return
            // The template was stopped when it was frozen.
            case "paused", "postmigrate", "prelaunch": try control.perform("cont")
            case "inmigrate": LinuxCalls.sleep(nanoseconds: 1_000_000)
            case let status: throw HostError(.notReady, "the emulated host's template is not usable (\(status))")
            }
            guard Clock.monotonic.nanoseconds() < end else {
                throw HostError(.notReady, "the emulated host was not restored in time")
            }
        }
    }
}
