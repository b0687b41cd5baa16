import AgentClient
import AgentProtocol
import ChildProcesses
import Glibc
import LinuxCalls
import Testing

@testable import EmulatedHost

extension Tag {
    /// Boots a whole machine.
    @Tag static var guest: Self
}

/// The installed parts of the product, which these tests need: the agent and the script that fetches the rest.
private let libexecFolder = HostFacts.environment("SWIFTLET_LIBEXEC") ?? "build/libexec/swiftlet"
private let hasParts = unsafe access(libexecFolder + "/swiftlet-agent", X_OK) == 0

/// One emulated host from its first boot to its end, as commands see it.
@Suite(
    .tags(.guest), .serialized,
    .enabled(if: hasParts, "no swiftlet-agent in \(libexecFolder): `make` builds it, SWIFTLET_LIBEXEC points at it"))
final class HostLifeTests {
    let settings: HostSettings

    /// The template is kept between runs of the tests, as it is between commands.
    init() throws {
        let cache = HostFacts.environment("XDG_CACHE_HOME") ?? (HostFacts.environment("HOME") ?? "/root") + "/.cache"
        var settings = HostSettings(dataFolder: "/", runtimeFolder: "/", libexecFolder: libexecFolder)
        settings.dataFolder = cache + "/swiftlet/test-host"
        settings.runtimeFolder = "/tmp/swiftlet-host-life-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        settings.memoryMebibytes = 1024
        try HostFolder.make(settings.dataFolder)
        if HostKernel(folder: settings.kernelFolder) == nil {
            // The kernel that the scripts use.
            let output = try ChildProcess.output(of: ChildProcess.Settings([settings.setUpScript]))
            let kernel = output.text.split(separator: "\n").last.map(String.init) ?? ""
            unsafe symlink(kernel, settings.kernelFolder)
        }
        self.settings = settings
    }

    deinit {
        _ = try? EmulatedHost(settings).stop(graceMilliseconds: 0)
        HostFolder.remove(settings.runtimeFolder)
    }

    private func milliseconds(_ body: () throws -> Void) rethrows -> UInt64 {
        let begin = Clock.monotonic.nanoseconds()
        try body()
        return (Clock.monotonic.nanoseconds() - begin) / 1_000_000
    }

    @Test func itIsRestoredFromItsTemplateAndReplacedWhenItWasKilled() throws {
        let host = EmulatedHost(settings)
        var lines: [String] = []
        // Other tests start hosts from the same folder at the same time.
        func note(_ line: String) { if !line.hasPrefix("waiting for another") { lines.append(line) } }
        let firstStart = try milliseconds { _ = try host.start(report: note) }
        // One more when the template had to be made.
        #expect((1...2).contains(lines.count), "\(lines)")
        let first = try #require(host.running())
        let load = try first.load()
        #expect(load.connections >= 1)
        #expect(host.status().state == .running)

        // Starting a host that runs is finding it.
        lines = []
        #expect(try host.start(report: note).emulatorProcess == first.emulatorProcess)
        #expect(lines == [])

        #expect(host.status().commands == 0)

        // What is secret can be read by nobody else.
        var status = stat()
        #expect(unsafe stat(settings.recordFile, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)

        // A host that was killed is replaced.
        kill(first.emulatorProcess, SIGKILL)
        waitWhile { host.running() != nil }
        let restart = try milliseconds { _ = try host.start(report: note) }
        #expect(lines.count == 1, "\(lines)")
        let second = try #require(host.running())
        #expect(second.emulatorProcess != first.emulatorProcess)
        let ping = try milliseconds { _ = try second.load() }

        // So is one whose record is gone: there are never two.
        unsafe unlink(settings.recordFile)
        #expect(host.running() == nil)
        let third = try host.start { _ in }
        #expect(kill(second.emulatorProcess, 0) != 0 || ProcessIdentity(running: second.emulatorProcess) == nil)

        var wasRunning = false
        let stop = try milliseconds { wasRunning = try host.stop() }
        #expect(wasRunning)
        #expect(host.running() == nil)
        #expect(ProcessIdentity(running: third.emulatorProcess) == nil)
        print("emulated host: first start \(firstStart) ms, restart \(restart) ms, ping \(ping) ms, stop \(stop) ms")
    }

    @Test func oneOfAnotherVersionIsReplacedUnlessItIsUsed() throws {
        let host = EmulatedHost(settings)
        var record = try host.start { _ in }.record
        record.fingerprint = "another"
        try HostFolder.write(Array(record.text.utf8), to: settings.recordFile)

        var lines: [String] = []
        func start() throws -> HostRecord {
            lines = []
            // Other tests start hosts from the same folder at the same time.
            return try host.start { if !$0.hasPrefix("waiting for another") { lines.append($0) } }.record
        }
        do {
            let user = try RunningHost(record).connect()
            #expect(try start() == record)
            #expect(lines.count == 1 && lines[0].contains("busy"), "\(lines)")
            extendLifetime(user)
        }
        // The agent hears of the connection's end a little later.
        waitWhile { (try? RunningHost(record).load().connections) != 1 }
        let next = try start()
        #expect(next.emulator != record.emulator && !record.emulator.isRunning)
        #expect(next.fingerprint != record.fingerprint)
        #expect(lines.first?.contains("another version") == true, "\(lines)")
        #expect(try start() == next)
        #expect(lines == [])
    }

    @Test func startedByManyAtOnceThereIsOne() async throws {
        let host = EmulatedHost(settings)
        let processes = await withTaskGroup(of: Int32?.self) { group in
            for _ in 0..<4 { group.addTask { try? host.start { _ in }.emulatorProcess } }
            var processes: Set<Int32?> = []
            for await process in group { processes.insert(process) }
            return processes
        }
        #expect(processes.count == 1)
        #expect(!processes.contains(nil))
    }

    @Test func withoutTheSecretNothingIsAnswered() throws {
        let host = try EmulatedHost(settings).start { _ in }
        var record = host.record
        record.secret = HostSecret.random()
        #expect(throws: AgentClientError.self) { try RunningHost(record).load() }
        let load = try host.load()
        #expect(load.connections >= 1)
    }
}

/// Commands in one host, which all tests here share.
@Suite(
    .tags(.guest), .serialized,
    .enabled(if: hasParts, "no swiftlet-agent in \(libexecFolder): `make` builds it, SWIFTLET_LIBEXEC points at it"))
final class HostCommandTests {
    let settings: HostSettings
    let host: RunningHost

    init() throws {
        settings = try HostLifeTests().settings
        host = try EmulatedHost(settings).start { _ in }
    }

    deinit {
        _ = try? EmulatedHost(settings).stop(graceMilliseconds: 0)
        HostFolder.remove(settings.runtimeFolder)
    }

    /// Runs a shell's script in the host, in this machine's `/tmp`.
    private func run(
        _ script: String, environment: [String] = [], folder: String = "/tmp"
    ) throws -> (output: String, error: String, end: SessionEnd) {
        let start = host.start(
            ["/bin/sh", "-c", script], environment: environment, workingDirectory: folder,
            streams: .pipes(input: false, output: true, error: true))
        let output = CollectedOutput()
        let session = try ProcessSession(start, over: try host.connect(), output: output)
        session.endpoint = host
        session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit
        let end = try session.run()
        return (output.text(of: .standardOutput), output.text(of: .standardError), end)
    }

    @Test func outputStatusEnvironmentAndFolderAreWhatTheyWouldBeHere() throws {
        let result = try run(
            "echo out; echo err >&2; echo $SWIFTLET_TEST; pwd; exit 7", environment: ["SWIFTLET_TEST=inside"],
            folder: "/usr")
        #expect(result.output == "out\ninside\n/usr\n")
        #expect(result.error == "err\n")
        #expect(result.end == .exited(.exited(7)))
        #expect(try run("kill -9 $$").end == .exited(.signalled(9)))
    }

    @Test func kvmThereRunsKernelModeAtFullSpeedAndTunnelsCanBeMade() throws {
        #expect(try run("test -c /dev/kvm && test -c /dev/net/tun && echo both").output == "both\n")
        #expect(try run("grep -c -w svm /proc/cpuinfo").output == "\(settings.processors)\n")
    }

    @Test func filesAreTheSameOnBothSides() throws {
        try ScratchFolder.with { folder in
            try HostFolder.write(Array("one\n".utf8), to: folder + "/file")
            #expect(try run("cat file; echo two > file; mkdir inside", folder: folder).output == "one\n")
            #expect(TextFile.read(folder + "/file") == "two\n")
            #expect(HostFolder.names(folder).sorted() == ["file", "inside"])
            // What changes out here is seen in there at once, though it was read before.
            try HostFolder.write(Array("three\n".utf8), to: folder + "/file")
            #expect(try run("cat file", folder: folder).output == "three\n")
        }
    }

    @Test func theClockIsRight() throws {
        let before = Int(Clock.realTime.nanoseconds() / 1_000_000_000)
        let inside = Int(try run("printf %s $(date +%s)").output) ?? 0
        let after = Int(Clock.realTime.nanoseconds() / 1_000_000_000)
        #expect((before - 1...after + 1).contains(inside), "\(inside) in there, \(after) here")
    }

    @Test func modulesThatNobodyLoadedAreLoadedWhenTheyAreNeeded() throws {
        let result = try run(
            "mount -t overlay none -o lowerdir=/usr:/etc /mnt && umount /mnt && echo mounted")
        #expect(result.output == "mounted\n", "\(result.error)")
    }

    @Test func aShortCommandTakesAFractionOfASecond() throws {
        _ = try run("true")
        var best = UInt64.max
        for _ in 0..<5 {
            let begin = Clock.monotonic.nanoseconds()
            _ = try run("true")
            best = min(best, (Clock.monotonic.nanoseconds() - begin) / 1_000_000)
        }
        print("emulated host: a short command takes \(best) ms")
        #expect(best < 3000)
    }
}
