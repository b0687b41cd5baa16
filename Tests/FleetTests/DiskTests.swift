import Foundation
import Testing

@testable import Fleet

/// Machines and disks in a folder of their own, removed afterwards.
private final class Scratch {
    let folder = NSTemporaryDirectory() + "disks-\(UInt64.random(in: 0...UInt64.max))"
    let fleet: MachineFleet

    init() throws {
        fleet = MachineFleet(ProductPaths(data: folder + "/home", runtime: folder + "/run", libexec: folder))
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func disk(_ name: String, bytes: Int) -> String {
        #expect(FileManager.default.createFile(atPath: "\(folder)/\(name)", contents: Data(count: bytes)))
        return "\(folder)/\(name)"
    }

    func machine(_ disks: [MachineSpecification.Disk], name: String? = nil) throws -> OwnedMachine {
        var specification = MachineSpecification()
        specification.image = "busybox"
        specification.command = ["true"]
        specification.disks = disks
        return try fleet.create(specification, name: name)
    }

    /// What is said of a machine that cannot be.
    func refusal(_ disks: [MachineSpecification.Disk]) throws -> String {
        let error = try #require(#expect(throws: FleetError.self) { _ = try machine(disks) })
        #expect(error.code == .unusableDisk)
        return error.message
    }
}

@Suite struct DiskTests {
    @Test func `what is no disk is refused, a pipe without waiting for its other end`() throws {
        let scratch = try Scratch()
        let pipe = scratch.folder + "/pipe"
        // SAFETY: the text is valid during the call.
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        for path in [scratch.folder + "/none", scratch.folder, pipe, scratch.disk("empty", bytes: 0)] {
            for isReadOnly in [true, false] {
                #expect(try scratch.refusal([.init(path: path, isReadOnly: isReadOnly)]).contains(path))
            }
        }
        #expect(scratch.fleet.store.list().isEmpty)
    }

    @Test func `the advice for a disk without whole sectors adds to it and takes nothing away`() throws {
        let scratch = try Scratch()
        let path = scratch.disk("odd", bytes: 100_001)
        let message = try scratch.refusal([.init(path: path, isReadOnly: false)])
        let advice = try #require(message.range(of: "truncate -s")).lowerBound
        let tool = Process()
        tool.executableURL = URL(fileURLWithPath: "/bin/sh")
        tool.arguments = ["-c", String(message[advice...])]
        try tool.run()
        tool.waitUntilExit()
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int == 100_352)
        _ = try scratch.machine([.init(path: path, isReadOnly: false)])
    }

    @Test func `a disk that a machine may write to is its alone, and the refusal names it`() throws {
        let scratch = try Scratch()
        let path = scratch.disk("data", bytes: 4096)
        do {
            let writer = try scratch.machine([.init(path: path, isReadOnly: false)], name: "writer")
            for isReadOnly in [true, false] {
                let message = try scratch.refusal([.init(path: path, isReadOnly: isReadOnly)])
                #expect(message.contains("\"writer\" may write"))
            }
            extendLifetime(writer)
        }
        // A child that another test starts has this process's locks until it is the program that it is to be.
        #expect(comesTrue { (try? scratch.machine([.init(path: path, isReadOnly: false)])) != nil })
    }

    @Test func `machines that only read share a disk, and keep a writer away`() throws {
        let scratch = try Scratch()
        let path = scratch.disk("data", bytes: 4096)
        let readers = try (0..<2).map { _ in try scratch.machine([.init(path: path, isReadOnly: true)]) }
        #expect(try scratch.refusal([.init(path: path, isReadOnly: false)]).contains("reads the disk"))
        extendLifetime(readers)
    }

    @Test func `one disk is not given to a machine twice when it may write to it`() throws {
        let scratch = try Scratch()
        let path = scratch.disk("data", bytes: 4096)
        let link = scratch.folder + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        let message = try scratch.refusal([.init(path: path, isReadOnly: false), .init(path: link, isReadOnly: true)])
        #expect(message.contains("are one disk"))
        _ = try scratch.machine([.init(path: path, isReadOnly: true), .init(path: link, isReadOnly: true)])
    }
}
