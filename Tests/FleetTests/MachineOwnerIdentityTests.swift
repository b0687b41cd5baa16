import EmulatedHost
import Foundation
import LinuxCalls
import Testing

@testable import Fleet

/// Whom a signal for a machine's owner reaches.
@Suite struct MachineOwnerIdentityTests {
    private let folder = NSTemporaryDirectory() + "owner-\(UInt64.random(in: 0...(.max)))"

    /// A machine that runs, and a stranger.
    private func withMachine(_ body: (OwnedMachine, ProcessIdentity) throws -> Void) throws {
        let nothing = try open("/dev/null", .readWrite)
        let child = try ChildSpawning.start(
            ["/bin/sleep", "1000"], descriptors: [nothing.number, nothing.number, nothing.number], in: .processGroup)
        defer {
            kill(child, SIGKILL)
            waitpid(child, nil, 0)
            try? FileManager.default.removeItem(atPath: folder)
        }
        let store = MachineStore(ProductPaths(data: folder + "/data", runtime: folder + "/run", libexec: folder))
        var specification = MachineSpecification()
        specification.command = ["true"]
        let machine = try store.create(specification, name: "web")
        try machine.update { $0.state = .running }
        try body(machine, try #require(ProcessIdentity(running: child)))
    }

    private func hasEnded(_ process: ProcessIdentity) -> Bool {
        for _ in 0..<6000 where process.isRunning { LinuxCalls.sleep(nanoseconds: 5_000_000) }
        return !process.isRunning
    }

    @Test func `a process that got the owner's number after it is not signalled`() throws {
        try withMachine { machine, stranger in
            try machine.update {
                $0.ownerProcess = stranger.identifier
                $0.ownerStartTicks = stranger.startTicks - 1
            }
            try MachineRemote(machine.record, store: machine.store).pass(SignalNumber.terminate)
            LinuxCalls.sleep(nanoseconds: 200_000_000)
            #expect(stranger.isRunning)
        }
    }

    @Test func `a machine that was handed over meanwhile has its new owner signalled`() throws {
        try withMachine { machine, owner in
            // One that ignored the end of its record's owner would signal these tests.
            var old = machine.record
            old.ownerProcess = .max
            try machine.update {
                $0.ownerProcess = owner.identifier
                $0.ownerStartTicks = owner.startTicks
            }
            try MachineRemote(old, store: machine.store).pass(SignalNumber.terminate)
            #expect(hasEnded(owner))
        }
    }

    @Test func `an owner is known by its number where its version wrote no time`() throws {
        try withMachine { machine, owner in
            try machine.update {
                $0.ownerProcess = owner.identifier
                $0.ownerStartTicks = nil
            }
            try MachineRemote(machine.record, store: machine.store).pass(SignalNumber.terminate)
            #expect(hasEnded(owner))
        }
    }

    @Test func `whoever makes a machine is its owner`() throws {
        try withMachine { machine, _ in
            #expect(machine.record.owner == ProcessIdentity(running: getpid()))
        }
    }
}
