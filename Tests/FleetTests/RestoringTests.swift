import AgentClient
import Foundation
import HostFiles
import LinuxCalls
import Testing

@testable import Fleet

/// Machines that are run again: those that somebody starts, and those that come back by themselves.
@Suite final class RestoringTests {
    private let folder = NSTemporaryDirectory() + "restoring-\(UInt64.random(in: 0...UInt64.max))"
    private let store: MachineStore

    init() { store = MachineStore(ProductPaths(data: folder + "/data", runtime: folder + "/run", libexec: folder)) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// One that has run, and whose owner has let go of it.
    private func ended(_ policy: String, change: (inout MachineRecord) -> Void = { _ in }) throws -> MachineRecord {
        var specification = MachineSpecification()
        specification.command = ["true"]
        specification.isDetached = true
        specification.container.restart = try RestartPolicy(parsing: policy)
        let machine = try store.create(specification, name: nil)
        try machine.update {
            $0.startedSeconds = 1
            $0.state = .failed
            change(&$0)
        }
        return machine.record
    }

    private func comesBack(_ record: MachineRecord, presentBoot: String? = MachineRecord.presentBoot) -> Bool {
        if case .begins = record.restoration(presentBoot: presentBoot) { true } else { false }
    }

    @Test(arguments: [("no", false), ("on-failure", true), ("always", true), ("unless-stopped", true)])
    func `a machine whose owner was killed comes back where its policy says so`(policy: String, isWanted: Bool) throws {
        #expect(try comesBack(ended(policy)) == isWanted)
    }

    @Test func `one that was stopped stays so, but for always at this computer's next start`() throws {
        for policy in ["on-failure", "always", "unless-stopped"] {
            let record = try ended(policy) { $0.isStopped = true }
            #expect(!comesBack(record))
            #expect(comesBack(record, presentBoot: "another") == (policy == "always"))
        }
    }

    @Test func `what ended well, has failed too often, or never ran does not come back`() throws {
        #expect(try !comesBack(ended("on-failure") { ($0.state, $0.exitStatus) = (.exited, 0) }))
        #expect(try comesBack(ended("on-failure:3") { $0.restartCount = 2 }))
        #expect(try !comesBack(ended("on-failure:3") { $0.restartCount = 3 }))
        #expect(try !comesBack(ended("always") { $0.startedSeconds = nil }))
        #expect(try ended("always") { $0.state = .running }.restoration(presentBoot: nil) == .runs)
    }

    @Test func `an end that somebody asked for is on record, unless it is only until restore`() throws {
        let machine = try #require(try store.reopen(ended("always")))
        machine.finish(exitStatus: 0, failure: nil, isStopped: true)
        #expect(machine.record.isStopped == true)
        try store.markComingBack(machine.record)
        machine.finish(exitStatus: 0, failure: nil, isStopped: true)
        #expect(machine.record.isStopped == nil && comesBack(machine.record))
        try machine.begin()
        #expect(!store.comesBack(machine.record))
    }

    @Test func `a machine that begins again is as it was made, with nothing of its end`() throws {
        let record = try ended("always") {
            ($0.exitStatus, $0.failure, $0.endedSeconds, $0.isStopped) = (3, "damage", 5, true)
            ($0.isEmulated, $0.socketPath, $0.restartCount) = (true, "/elsewhere", 7)
        }
        let machine = try #require(try store.reopen(record))
        try machine.begin()
        var expected = record
        (expected.exitStatus, expected.failure, expected.endedSeconds, expected.isStopped) = (nil, nil, nil, nil)
        (expected.isEmulated, expected.socketPath, expected.state) = (
            false, "\(folder)/run/\(record.id)/vsock", .starting
        )
        expected.restartCount = nil
        #expect(machine.record == expected && MachineRecord.read(from: machine.folder) == expected)
        try machine.begin(after: RestartNote(seconds: 9, exitStatus: 3, reason: "gone"))
        #expect(machine.record.restartCount == 1 && machine.record.restarts?.last?.reason == "gone")
    }

    @Test func `a machine that runs is not taken, nor is one that was removed`() throws {
        let record = try ended("always") { $0.state = .running }
        guard let owner = try MachineLock.take(in: store.folder(record.id)) else { throw LinuxError(EBUSY) }
        #expect(try store.reopen(record) == nil)
        extendLifetime(owner)
        let other = try ended("always")
        try store.remove(other)
        let error = #expect(throws: FleetError.self) { try store.reopen(other) }
        #expect(error?.code == .unknownMachine)
    }

    @Test func `machines are begun again only from a folder that nobody else can write to`() throws {
        let record = try ended("always")
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: store.paths.machines)
        let error = #expect(throws: FleetError.self) { try store.reopen(record) }
        #expect(error?.code == .unusableFolder)
    }

    @Test func `what was handed in must be again`() throws {
        let record = try ended("always") { $0.specification.container.handedIn = ["/run/secrets/password"] }
        let error = #expect(throws: FleetError.self) { try MachineFleet(store.paths).reopen(record) }
        #expect(error?.code == .missingFiles && error?.message.contains("/run/secrets/password") == true)
    }

    @Test func `a monitor that its owner has left is ended, and no other process`() throws {
        let nothing = try open("/dev/null", .readWrite)
        let machine = try #require(try store.reopen(ended("always")))
        let left = LeftoverMonitors(machine)
        let children = try [left.configurationPath, left.configurationPath + ".other"].map { path in
            try ChildSpawning.start(
                ["/bin/sh", "-c", "sleep 1000; :", "--config-file", path],
                descriptors: [nothing.number, nothing.number, nothing.number], in: .session)
        }
        defer { for child in children { Foundation.kill(-child, SIGKILL) } }
        // Until the second has become what it is to be.
        while left.processes() != [children[0]] { LinuxCalls.sleep(nanoseconds: 5_000_000) }
        // Nobody else waits for it.
        let reaper = Thread { waitpid(children[0], nil, 0) }
        reaper.start()
        try left.endHere()
        #expect(left.processes().isEmpty)
        #expect(waitpid(children[1], nil, WNOHANG) == 0)
    }
}
