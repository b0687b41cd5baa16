import AgentProtocol
import ChildProcesses
import Glibc
import LinuxCalls
import Testing

@testable import EmulatedHost

@Suite struct HostRecordTests {
    let record = HostRecord(
        emulator: ProcessIdentity(identifier: 4711, startTicks: 123_456_789), port: 40_001,
        secret: Secret([UInt8](1...32)) ?? .none, fingerprint: "0123456789abcdef", startedSeconds: 1_795_000_000,
        memoryMebibytes: 2048, processors: 2)

    @Test func aRecordIsReadAsItWasWritten() {
        #expect(HostRecord(parsing: record.text) == record)
    }

    @Test func whatIsNoRecordIsNone() {
        let damaged = [
            "", "{}", "null", "[1,2]", String(record.text.dropLast(20)),
            record.text.replacing("40001", with: "400010"), record.text.replacing("4711", with: "\"4711\""),
            record.text.replacing("0102", with: "01"), record.text.replacing("123456789", with: "-1"),
        ]
        for text in damaged { #expect(HostRecord(parsing: text) == nil, "\(text)") }
    }
}

@Suite struct ProcessIdentityTests {
    @Test func thisProcessRuns() throws {
        let identity = try #require(ProcessIdentity(running: getpid()))
        #expect(identity.isRunning)
        #expect(!ProcessIdentity(identifier: identity.identifier, startTicks: identity.startTicks + 1).isRunning)
    }

    @Test func aNumberNobodyHasIsNotRunning() {
        #expect(ProcessIdentity(running: 0) == nil)
        #expect(ProcessIdentity(running: -1) == nil)
        #expect(ProcessIdentity(running: .max) == nil)
    }

    @Test func whatIsLeftOfAChildIsNotRunning() throws {
        let child = try ChildProcess(.init(["true"]))
        waitWhile { ProcessIdentity(running: child.identifier) != nil }
        #expect(ProcessIdentity(running: child.identifier) == nil)
        #expect(child.wait() == .exited(0))
    }

    @Test func namesMayHoldBracketsAndSpaces() {
        let fields = ProcessIdentity.fieldsAfterName("12 (a) b (c)) S 1 2 3\n")
        #expect(fields == ["S", "1", "2", "3"])
        #expect(ProcessIdentity.fieldsAfterName("12 nothing") == nil)
    }
}

@Suite struct HostPartsTests {
    @Test func theInitialFileSystemIsReadByOthers() throws {
        var archive = CPIOArchive()
        archive.addFolder("bin")
        archive.addFile("bin/file", mode: 0o755, content: Array("seven b".utf8))
        archive.addLink("link", to: "bin/file")
        archive.finish()
        try ScratchFolder.with { folder in
            try HostFolder.write(archive.bytes, to: folder + "/archive")
            var settings = ChildProcess.Settings([
                "sh", "-c", "cpio -id --quiet < archive && cat link && ls -l bin/file",
            ])
            settings.workingDirectory = folder
            let output = try ChildProcess.output(of: settings)
            #expect(output.isSuccess)
            #expect(output.text.hasPrefix("seven b-rwxr-xr-x"))
        }
    }

    @Test func theForwardedPortIsFoundInWhatTheEmulatorTells() {
        let text = """
            Hub 0 (control):
              Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r
              TCP[HOST_FORWARD]  12       127.0.0.1 37323       10.0.2.15  1024     0     0\r
              TCP[ESTABLISHED]   15       127.0.0.1 37323       10.0.2.15  1024     0     0\r
            """
        #expect(EmulatorControl.forwardedPort(in: text) == 37323)
        #expect(EmulatorControl.forwardedPort(in: "") == nil)
        #expect(EmulatorControl.forwardedPort(in: "TCP[HOST_FORWARD] 12 127.0.0.1 99999 x") == nil)
        #expect(EmulatorControl.forwardedPort(in: "TCP[HOST_FORWARD]") == nil)
    }

    @Test func commasInPathsReachTheEmulatorDoubled() {
        #expect(EmulatorCommand.escaped("/a,b/c,,d") == "/a,,b/c,,,,d")
    }

    @Test func theHostTakesAPartOfTheMachine() {
        #expect(HostSettings.memoryMebibytes(totalMebibytes: 0) == 1024)
        #expect(HostSettings.memoryMebibytes(totalMebibytes: 5000) == 2304)
        #expect(HostSettings.memoryMebibytes(totalMebibytes: 1 << 20) == 4096)
    }

    @Test func fingerprintsDifferWherePartsDiffer() {
        func fingerprint(_ parts: String...) -> String {
            var result = Fingerprint()
            for part in parts { result.add(part) }
            return result.text
        }
        #expect(fingerprint("ab", "c") == fingerprint("ab", "c"))
        #expect(fingerprint("ab", "c") != fingerprint("a", "bc"))
        #expect(fingerprint("a") != fingerprint("a", ""))
        #expect(fingerprint("x").utf8.count == 16)
    }

    @Test func aLockIsHeldByOneAndLetGo() throws {
        try ScratchFolder.with { folder in
            let path = folder + "/lock"
            func isFree() throws -> Bool {
                if let lock = try FileLock.take(path) {
                    extendLifetime(lock)
                    return true
                }
                return false
            }
            do {
                let lock = try FileLock.wait(for: path)
                #expect(try !isFree())
                extendLifetime(lock)
            }
            #expect(try isFree())
        }
    }
}

/// A folder for one test, gone after it.
enum ScratchFolder {
    static func with(_ body: (String) throws -> Void) throws {
        let folder = "/tmp/swiftlet-host-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try HostFolder.make(folder)
        // Links in it are removed and not followed.
        defer { _ = try? ChildProcess(ChildProcess.Settings(["/bin/rm", "-rf", folder])).wait() }
        try body(folder)
    }
}

/// Waits until something is no longer so, a minute at most.
func waitWhile(_ isSo: () -> Bool) {
    let end = Clock.monotonic.nanoseconds() + 60_000_000_000
    while isSo(), Clock.monotonic.nanoseconds() < end { LinuxCalls.sleep(nanoseconds: 10_000_000) }
}
