import AgentProtocol
import ChildProcesses
import Glibc
import LinuxCalls
import Testing

@testable import EmulatedHost

/// What earlier commands left, with a script in the emulator's place: it writes its number down, as QEMU does, and stops.
@Suite struct LeftoverTests {
    private func settings(_ folder: String) throws -> HostSettings {
        let script = """
            #!/bin/sh
            while [ $# -gt 0 ]; do [ "$1" = -pidfile ] && echo $$ > "$2"; shift; done
            kill -STOP $$
            """
        var settings = HostSettings(dataFolder: folder, runtimeFolder: folder, libexecFolder: folder)
        settings.dataFolder = folder + "/data"
        settings.runtimeFolder = folder + "/runtime"
        try HostFolder.make(settings.kernelFolder)
        try HostFolder.write(Array(script.utf8), to: settings.emulator)
        unsafe chmod(settings.emulator, 0o700)
        try HostFolder.make(settings.runtimeFolder)
        return settings
    }

    /// Starts the script as a command that was killed right afterwards would have done.
    private func abandonedEmulator(_ settings: HostSettings) throws -> ProcessIdentity {
        let alive = try FileLock.wait(for: settings.aliveFile)
        var emulator = try Emulator(
            EmulatorCommand(settings: settings).restoring(), in: settings.dataFolder, settings: settings, alive: alive)
        emulator.keep()
        waitWhile { TextFile.read(settings.processIDFile)?.contains("\n") != true }
        return emulator.identity
    }

    @Test func anEmulatorWithoutARecordIsEnded() throws {
        try ScratchFolder.with { folder in
            let settings = try settings(folder)
            let emulator = try abandonedEmulator(settings)
            #expect(emulator.isRunning)
            #expect(EmulatedHost(settings).running() == nil)
            try HostFolder.write([], to: settings.lockFile)
            let wasRunning = try EmulatedHost(settings).stop()
            #expect(!wasRunning)
            #expect(!emulator.isRunning)
            #expect(HostFolder.names(settings.runtimeFolder).sorted() == ["alive", "qemu.log"])
        }
    }

    @Test func aRecordOfAProcessThatIsGoneOrAnotherIsNoHost() throws {
        try ScratchFolder.with { folder in
            let settings = try settings(folder)
            let me = try #require(ProcessIdentity(running: getpid()))
            for identity in [
                ProcessIdentity(identifier: me.identifier, startTicks: me.startTicks + 1),
                ProcessIdentity(identifier: .max, startTicks: 1),
            ] {
                let record = HostRecord(
                    emulator: identity, port: 1, secret: .none, fingerprint: "", startedSeconds: 0, memoryMebibytes: 0,
                    processors: 0)
                try HostFolder.write(Array(record.text.utf8), to: settings.recordFile)
                #expect(EmulatedHost(settings).running() == nil)
            }
            try HostFolder.write([], to: settings.lockFile)
            try EmulatedHost(settings).stop()
            #expect(me.isRunning)
            #expect(HostFolder.names(settings.runtimeFolder) == ["alive"])
        }
    }

    @Test func anEmulatorThatIsNotKeptEndsWithItsOwner() throws {
        try ScratchFolder.with { folder in
            let settings = try settings(folder)
            let alive = try FileLock.wait(for: settings.aliveFile)
            let identity: ProcessIdentity
            do {
                let emulator = try Emulator(
                    EmulatorCommand(settings: settings).restoring(), in: settings.dataFolder, settings: settings,
                    alive: alive)
                identity = emulator.identity
                let isRunning = emulator.isRunning
                #expect(isRunning)
                extendLifetime(emulator)
            }
            #expect(!identity.isRunning)
        }
    }

    @Test func anEmulatorThatIsMissingIsSaid() throws {
        try ScratchFolder.with { folder in
            let settings = try settings(folder)
            unsafe unlink(settings.emulator)
            let alive = try FileLock.wait(for: settings.aliveFile)
            #expect {
                _ = try Emulator([settings.emulator], in: folder, settings: settings, alive: alive)
            } throws: { ($0 as? HostError)?.code == .missingPart }
        }
    }

    @Test func stoppingWhereNothingEverRanIsNoError() throws {
        try ScratchFolder.with { folder in
            let settings = HostSettings(dataFolder: folder, runtimeFolder: folder, libexecFolder: folder)
            let wasRunning = try EmulatedHost(settings).stop()
            #expect(!wasRunning)
        }
    }
}
