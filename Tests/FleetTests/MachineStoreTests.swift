import AgentClient
import Foundation
import HostFiles
import LinuxCalls
import Testing

@testable import Fleet

/// A store in a folder of its own, removed afterwards.
private final class Scratch {
    let folder: String
    let store: MachineStore

    init() throws {
        folder = NSTemporaryDirectory() + "fleet-\(UInt64.random(in: 0...UInt64.max))"
        store = MachineStore(ProductPaths(data: folder + "/data", runtime: folder + "/run", libexec: folder))
    }

    /// As a machine's owner.
    func own(_ id: String) throws -> MachineLock {
        let deadline = Deadline(after: .seconds(60))
        while !deadline.isOver {
            if let lock = try MachineLock.take(in: store.folder(id)) { return lock }
            LinuxCalls.sleep(nanoseconds: 5_000_000)
        }
        throw LinuxError.busy
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    var specification: MachineSpecification {
        var specification = MachineSpecification()
        specification.image = "busybox"
        specification.command = ["true"]
        return specification
    }
}

/// Owns a machine until it is told, by any thread.
private final class Owner: @unchecked Sendable {
    private var machine: OwnedMachine?

    init(_ machine: OwnedMachine) { self.machine = machine }

    func letGo() { machine = nil }
}

@Suite struct MachineStoreTests {
    @Test func `a machine is found by its name, its id and the first digits of it`() throws {
        let scratch = try Scratch()
        let machine = try scratch.store.create(scratch.specification, name: "web")
        for reference in ["web", machine.record.id, String(machine.record.id.prefix(5))] {
            #expect(try scratch.store.find(reference).id == machine.record.id)
        }
        #expect(throws: FleetError.self) { try scratch.store.find("we") }
        #expect(throws: FleetError.self) { try scratch.store.find("../data") }
    }

    @Test func `a user's commands have one folder for sockets, whichever variables they were given`() throws {
        let scratch = try Scratch()
        let own = scratch.folder + "/\(geteuid())"
        func found(_ variable: String?) -> String {
            ProductPaths.runtime(ofUser: geteuid(), variable, below: scratch.folder)
        }
        #expect(found(own) == own + "/swiftlet")
        #expect(found(nil) == "/tmp/swiftlet-\(geteuid())")
        try HostPath(own).makeFolders()
        #expect(found(nil) == found(own))
    }

    @Test(.enabled(if: geteuid() == 0, "giving a folder to somebody else takes root"))
    func `nothing is made beside sockets in a folder that is another user's`() throws {
        let scratch = try Scratch()
        try HostPath(scratch.folder + "/run").makeFolders()
        try HostPath(scratch.folder + "/run").setOwner(54321)
        #expect {
            try scratch.store.create(scratch.specification, name: "web")
        } throws: { "\($0)".contains("belongs to the user 54321") && "\($0)".contains("SWIFTLET_RUNTIME") }
        #expect(!FileManager.default.fileExists(atPath: scratch.folder + "/data"))
    }

    @Test func `how a machine ended is on record though the disk is full`() throws {
        let scratch = try Scratch()
        let machine = try scratch.store.create(scratch.specification, name: "web")
        let folder = scratch.store.folder(machine.record.id)
        let size = try folder.appending(MachineRecord.fileName).status().sizeBytes
        var record = machine.record
        record.state = .exited
        record.exitStatus = 3
        try record.overwrite(in: folder)
        #expect(MachineRecord.read(from: folder) == record)
        // One that has become shorter leaves no rest of the longer one, and takes no more room.
        record.name = ""
        record.exitStatus = nil
        try record.overwrite(in: folder)
        #expect(MachineRecord.read(from: folder) == record)
        #expect(try folder.appending(MachineRecord.fileName).status().sizeBytes < size + 64)
    }

    @Test func `a name is given once, and is free again when its machine is removed`() throws {
        let scratch = try Scratch()
        do {
            let machine = try scratch.store.create(scratch.specification, name: "web")
            let error = #expect(throws: FleetError.self) {
                _ = try scratch.store.create(scratch.specification, name: "web")
            }
            #expect(error?.code == .duplicateName)
            machine.finish(exitStatus: 0, failure: nil)
        }
        try scratch.store.remove(try scratch.store.find("web"))
        _ = try scratch.store.create(scratch.specification, name: "web")
    }

    @Test func `only a machine whose lock is held runs, and what else keeps it from being removed is told`() throws {
        let scratch = try Scratch()
        do {
            let machine = try scratch.store.create(scratch.specification, name: "web")
            let error = #expect(throws: FleetError.self) { try scratch.store.remove(machine.record) }
            #expect(error?.code == .stillRunning)
            machine.finish(exitStatus: 0, failure: nil)
        }
        let record = try scratch.store.find("web")
        let lock = scratch.store.folder(record.id).appending(MachineLock.fileName).description
        try FileManager.default.removeItem(atPath: lock)
        try FileManager.default.createSymbolicLink(atPath: lock, withDestinationPath: lock)
        let error = #expect(throws: FleetError.self) { try scratch.store.remove(record) }
        #expect(error?.code == .unusableFolder && error?.message.contains("symbolic links") == true)
        try FileManager.default.removeItem(atPath: lock)
        try scratch.store.remove(record)
        #expect(scratch.store.list().isEmpty)
    }

    @Test func `a machine that has ended is removed when its owner, or another who removes it, lets go of it`() throws {
        let scratch = try Scratch()
        let owner: Owner
        do {
            let machine = try scratch.store.create(scratch.specification, name: "web")
            machine.finish(exitStatus: 0, failure: nil)
            owner = Owner(machine)
        }
        let record = try scratch.store.find("web")
        #expect(scratch.store.isOwned(record))
        Thread.detachNewThread {
            LinuxCalls.sleep(nanoseconds: 50_000_000)
            owner.letGo()
        }
        try scratch.store.remove(record)
        // Its name may be another's by the time somebody removes it once more.
        let second = try scratch.store.create(scratch.specification, name: "web")
        try scratch.store.remove(record)
        #expect(try scratch.store.find("web").id == second.record.id)
    }

    @Test func `looking at a machine leaves nothing in a folder that is being removed`() throws {
        let scratch = try Scratch()
        let record = try scratch.store.create(scratch.specification, name: "web").record
        let folder = scratch.store.folder(record.id)
        try folder.appending(MachineLock.fileName).removeFile()
        #expect(!scratch.store.isOwned(record))
        _ = scratch.store.list()
        #expect(!folder.appending(MachineLock.fileName).exists)
        try scratch.store.remove(record)
        #expect(!folder.exists)
    }

    @Test func `a home that is no folder is an error, and not one without machines`() throws {
        let scratch = try Scratch()
        try scratch.store.checkReadable()
        _ = try scratch.store.create(scratch.specification, name: "web")
        let file = scratch.store.folder("file").description
        #expect(FileManager.default.createFile(atPath: file, contents: nil))
        let store = MachineStore(ProductPaths(data: file, runtime: file, libexec: file))
        #expect(throws: FleetError.self) { try store.checkReadable() }
        let error = #expect(throws: FleetError.self) { try store.find("web") }
        #expect(error?.code == .unusableFolder)
    }

    @Test func `relative paths of the product are made absolute`() {
        #expect(ProductPaths.absolute("home") == FileManager.default.currentDirectoryPath + "/home")
        #expect(ProductPaths.absolute("/home") == "/home")
    }

    @Test func `machines made at the same time get names of their own`() throws {
        let scratch = try Scratch()
        let machines = try (0..<60).map { _ in try scratch.store.create(scratch.specification, name: nil) }
        #expect(Set(machines.map(\.record.name)).count == 60)
        #expect(scratch.store.list().count == 60)
    }

    @Test func `folders, users and host names that cannot be are refused before anything is made`() throws {
        let scratch = try Scratch()
        let plain = scratch.specification
        func refuse(_ change: (inout MachineSpecification) -> Void, _ what: String) {
            var specification = plain
            change(&specification)
            let error = #expect(throws: FleetError.self) { try specification.check() }
            #expect(error?.code == .invalidSetting && error?.message.contains(what) == true)
        }
        for folder in ["etc", "./x"] { refuse({ $0.workingDirectory = folder }, "/\(folder)") }
        for user in ["a:b:c", "a user", String(repeating: "u", count: 257)] { refuse({ $0.user = user }, user) }
        for host in ["a b", "höst", String(repeating: "h", count: 65)] { refuse({ $0.hostName = host }, host) }
        refuse({ $0.memoryMebibytes = 1 << 20 }, "at most 512 GiB")
        var good = plain
        (good.workingDirectory, good.user, good.hostName) = ("/etc", "1000:www-data", "web-1.example")
        try good.check()
    }

    @Test func `a machine that does not run keeps its own networks from others, as long as there are some`() throws {
        let scratch = try Scratch()
        var specification = scratch.specification
        specification.interfaces = [.init(.bareTap), .init(.ownTap)]
        let kept: [Int]
        do {
            let machine = try scratch.store.create(specification, name: "web")
            try machine.update { $0.networkNumbers = [3, 4] }
            kept = machine.record.networkNumbers
            machine.finish(exitStatus: 0, failure: nil)
        }
        var generator = SystemRandomNumberGenerator()
        let others = try scratch.store.freeNetworkNumbers(OwnNetwork.numbers.count - 2, using: &generator)
        #expect(others.count == OwnNetwork.numbers.count - 2 && others.allSatisfy { !kept.contains($0) })
        #expect(try scratch.store.freeNetworkNumbers(OwnNetwork.numbers.count, using: &generator).contains(3))
        let record = try scratch.store.find("web")
        var reopened: OwnedMachine?
        #expect(
            try comesTrue {
                reopened = try scratch.store.reopen(record)
                return reopened != nil
            })
        try reopened?.begin()
        #expect(reopened?.record.networkNumbers == kept)
    }

    @Test func `a machine whose owner is gone has failed`() throws {
        let scratch = try Scratch()
        do { _ = try scratch.store.create(scratch.specification, name: "lost") }
        #expect(
            try comesTrue {
                let record = try scratch.store.find("lost")
                return record.state == .failed && record.failure != nil
            })
    }

    @Test func `a leftover that was to remove itself is gone`() throws {
        let scratch = try Scratch()
        var specification = scratch.specification
        specification.removesItself = true
        do { _ = try scratch.store.create(specification, name: "lost") }
        #expect(
            comesTrue {
                scratch.store.cleanLeftovers()
                return scratch.store.list().isEmpty
            })
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.folder + "/data/machines") == [".names"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.folder + "/data/machines/.names") == [])
    }

    @Test func `what a removal that was killed has left is gone, a record that cannot be read is not`() throws {
        let scratch = try Scratch()
        let machines = scratch.folder + "/data/machines"
        for name in ["half", "odd"] {
            let id: String
            do { id = try scratch.store.create(scratch.specification, name: name).record.id }
            try FileManager.default.moveItem(atPath: "\(machines)/\(id)", toPath: "\(machines)/\(name)")
        }
        try FileManager.default.removeItem(atPath: machines + "/half/record.json")
        try Data("{".utf8).write(to: URL(fileURLWithPath: machines + "/odd/record.json"))
        #expect(
            try comesTrue {
                scratch.store.cleanLeftovers()
                return try FileManager.default.contentsOfDirectory(atPath: machines).sorted() == [".names", "odd"]
            })
    }

    @Test(arguments: ["{", ""]) func `a machine whose record is damaged can be removed, and its name is free`(
        content: String
    ) throws {
        let scratch = try Scratch()
        let id: String
        do { id = try scratch.store.create(scratch.specification, name: "odd").record.id }
        _ = try scratch.store.create(scratch.specification, name: "even")
        let folder = scratch.folder + "/data/machines/\(id)"
        try Data(content.utf8).write(to: URL(fileURLWithPath: folder + "/record.json"))
        for reference in ["odd", id, String(id.prefix(5))] {
            let error = #expect(throws: FleetError.self) { try scratch.store.find(reference) }
            #expect(error?.code == .damagedRecord)
            #expect(error?.message.contains("`swiftlet rm --force \(reference)`") == true)
        }
        #expect(try !scratch.store.removeDamaged("even"))
        #expect(try !scratch.store.removeDamaged("nobody"))
        do {
            let owner = try scratch.own(id)
            let error = #expect(throws: FleetError.self) { try scratch.store.removeDamaged("odd") }
            #expect(error?.code == .stillRunning)
            extendLifetime(owner)
        }
        #expect(comesTrue { (try? scratch.store.removeDamaged("odd")) == true })
        #expect(!FileManager.default.fileExists(atPath: folder))
        #expect(throws: FleetError.self) { try scratch.store.find("odd") }
        _ = try scratch.store.create(scratch.specification, name: "odd")
    }

    @Test func `a machine that is owned is not removed`() throws {
        let scratch = try Scratch()
        let machine = try scratch.store.create(scratch.specification, name: "web")
        let error = #expect(throws: FleetError.self) { try scratch.store.remove(machine.record) }
        #expect(error?.code == .stillRunning)
    }

    @Test(arguments: ["", "-a", ".a", "a/b", "a b", "ä", String(repeating: "a", count: 64)])
    func `names that would be trouble are refused`(name: String) {
        #expect(throws: FleetError.self) { try MachineNames.check(name) }
    }

    @Test(arguments: [(0, 256), (33, 256), (-1, 256), (1, 8), (1, 0), (1, 1 << 30)])
    func `machines that cannot be are refused before anything is made`(processors: Int, mebibytes: Int) throws {
        let scratch = try Scratch()
        var specification = scratch.specification
        specification.processors = processors
        specification.memoryMebibytes = mebibytes
        let error = #expect(throws: FleetError.self) {
            _ = try MachineFleet(scratch.store.paths).create(specification, name: nil)
        }
        #expect(error?.code == .invalidSetting)
        #expect(scratch.store.list().isEmpty)
    }
}
