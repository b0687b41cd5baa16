import AgentProtocol
import Foundation
import LinuxCalls
import Testing

@Suite(.serialized) struct ConnectionTests {
    @Test func nonsenseIsAnsweredAndLeavesTheAgentAtWork() throws {
        let agent = try TestAgent()
        for seed in 0..<50 {
            let connection = TestConnection(try UnixSocket.connect(agent.folder + "/agent"))
            try? connection.send((0..<200).map { UInt8(truncatingIfNeeded: $0 &* seed &+ seed) })
        }
        let control = try agent.control()
        try control.connection.send([0xff, 0xff, 0xff, 0xff] + [UInt8](repeating: 0, count: 20))
        guard case .failure(let failure) = try control.next().message else { throw LinuxError.protocolError }
        #expect(failure.code == .malformedMessage)
        #expect(try control.connection.receiveAll().isEmpty)
        #expect(try agent.run(start("echo", "alive")).output == "alive\n")
    }

    @Test func anotherVersionIsToldSo() throws {
        let agent = try TestAgent()
        var bytes = Opening(.control).encoded()
        bytes[4] = 99
        let connection = TestConnection(try UnixSocket.connect(agent.folder + "/agent"))
        try connection.send(bytes)
        guard case .failure(let failure) = try TestControl(connection).next().message else {
            throw LinuxError.protocolError
        }
        #expect(failure.code == .unsupportedVersion && failure.systemError == 1)
    }

    @Test func aRelayReachesASocketAndPassesTheEndOfFileOn() throws {
        let agent = try TestAgent()
        let path = agent.folder + "/service"
        let listener = try UnixSocket.listen(path)
        let relay = TestControl(try agent.connect(Opening(.relay)))
        try relay.send(.relay(.dial(path: ByteString(path))))
        #expect(try relay.next().message == .connected)
        guard let accepted = try UnixSocket.accept(listener.number) else { throw LinuxError.tryAgain }
        let service = TestConnection(accepted)
        try relay.connection.send([1, 2, 3])
        relay.connection.endOfInput()
        #expect(try service.receiveAll() == [1, 2, 3])
        try service.send([4, 5])
        service.endOfInput()
        #expect(try relay.connection.receiveAll() == [4, 5])

        let nobody = TestControl(try agent.connect(Opening(.relay)))
        try nobody.send(.relay(.dial(path: ByteString(agent.folder + "/nobody"))))
        guard case .failure(let failure) = try nobody.next().message else { throw LinuxError.protocolError }
        #expect(failure.code == .relay)
    }

    @Test func relaysTakeWhatASocketOfTheAgentAccepts() throws {
        let agent = try TestAgent()
        let path = agent.folder + "/made"
        var relays: [TestControl] = []
        for _ in 0..<2 {
            let relay = TestControl(try agent.connect(Opening(.relay)))
            try relay.send(.relay(.accept(path: ByteString(path))))
            #expect(try relay.next().message == .listening)
            relays.append(relay)
        }
        for (number, relay) in relays.enumerated() {
            let caller = TestConnection(try UnixSocket.connect(path))
            try caller.send([UInt8(number)])
            #expect(try relay.next().message == .connected)
            #expect(try relay.raw(exactly: 1) == [UInt8(number)])
        }
        for _ in 0..<6000 where FileManager.default.fileExists(atPath: path) { sleep(nanoseconds: 5_000_000) }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func filesGoInAndComeOutAsTheyWere() throws {
        let agent = try TestAgent()
        let contents = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let into = TestFiles(try agent.connect(Opening(.files)))
        try into.send(.copyIn(CopyIn(destination: ByteString(agent.folder), name: "copied")))
        let time: UInt64 = 1_600_000_000_000_000_000
        let entries: [TransferEntry] = [
            TransferEntry(.directory, path: "", permissions: 0o750, modifiedNanoseconds: time),
            TransferEntry(.regular(sizeBytes: 200_000), path: "file", permissions: 0o640, modifiedNanoseconds: time),
            TransferEntry(.symbolicLink(target: "/etc/passwd"), path: "link", permissions: 0o777),
        ]
        for entry in entries {
            try into.send(.entry(entry))
            if case .regular = entry.kind {
                for offset in stride(from: 0, to: contents.count, by: 60_000) {
                    try into.send(.data(Array(contents[offset..<min(offset + 60_000, contents.count)])))
                }
            }
        }
        try into.send(.end)
        #expect(try into.next().message == .finished(entries: 3, bytes: 200_000))
        #expect(FileManager.default.contents(atPath: agent.folder + "/copied/file") == Data(contents))

        let out = TestFiles(try agent.connect(Opening(.files)))
        try out.send(.copyOut(path: ByteString(agent.folder + "/copied")))
        var seen: [ByteString: TransferEntry] = [:]
        var bytes: [UInt8] = []
        reading: while true {
            switch try out.next().message {
            case .entry(let entry): seen[entry.path] = entry
            case .data(let more): bytes += more
            case .end: break reading
            default: throw LinuxError.protocolError
            }
        }
        #expect(bytes == contents)
        #expect(seen[""]?.permissions == 0o750 && seen[""]?.modifiedNanoseconds == time)
        #expect(seen["file"]?.permissions == 0o640)
        #expect(seen["link"]?.kind == .symbolicLink(target: "/etc/passwd"))
    }

    @Test func aCopyCannotLeaveItsDestination() throws {
        let agent = try TestAgent()
        func refused(_ entries: [TransferEntry]) throws -> Failure.Code? {
            let into = TestFiles(try agent.connect(Opening(.files)))
            try into.send(.copyIn(CopyIn(destination: ByteString(agent.folder + "/target"))))
            for entry in entries { try? into.send(.entry(entry)) }
            try? into.send(.end)
            guard case .failure(let failure) = try into.next().message else { return nil }
            return failure.code
        }
        let top = TransferEntry(.directory, path: "", permissions: 0o755)
        // A link to elsewhere, and then a file through it.
        #expect(
            try refused([
                top, TransferEntry(.symbolicLink(target: "/tmp"), path: "way", permissions: 0o777),
                TransferEntry(.regular(sizeBytes: 0), path: "way/out", permissions: 0o644),
            ]) == .unsafePath)
        #expect(
            try refused([
                top, TransferEntry(.symbolicLink(target: "/tmp"), path: "way", permissions: 0o777),
                TransferEntry(.directory, path: "way", permissions: 0o755),
            ]) == .fileSystem)
        #expect(try refused([TransferEntry(.regular(sizeBytes: 0), path: "a", permissions: 0o644)]) == .unsafePath)
        // A link instead of what was asked for, which the next copy would follow.
        #expect(
            try refused([TransferEntry(.symbolicLink(target: "/tmp"), path: "", permissions: 0o777)]) == .fileSystem)
        #expect(!FileManager.default.fileExists(atPath: "/tmp/out"))
    }

    @Test func aCopyThatEndsHalfWayLeavesNoPartOfAFile() throws {
        let agent = try TestAgent()
        let target = agent.folder + "/target"
        let names = { try FileManager.default.contentsOfDirectory(atPath: target).sorted() }
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
        try Data("old".utf8).write(to: URL(fileURLWithPath: target + "/second"))
        func begin() throws -> TestFiles {
            let into = TestFiles(try agent.connect(Opening(.files)))
            try into.send(.copyIn(CopyIn(destination: ByteString(target))))
            try into.send(.entry(TransferEntry(.directory, path: "", permissions: 0o755)))
            try into.send(.entry(TransferEntry(.regular(sizeBytes: 3), path: "first", permissions: 0o644)))
            try into.send(.data([1, 2, 3]))
            try into.send(.entry(TransferEntry(.regular(sizeBytes: 9), path: "second", permissions: 0o644)))
            try into.send(.data([4, 5, 6]))
            return into
        }
        func expectOld() throws {
            for _ in 0..<6000 where try names() != ["first", "second"] { sleep(nanoseconds: 5_000_000) }
            #expect(try names() == ["first", "second"])
            #expect(FileManager.default.contents(atPath: target + "/second") == Data("old".utf8))
            #expect(FileManager.default.contents(atPath: target + "/first") == Data([1, 2, 3]))
        }
        // By a message that is none of its folder's.
        let refused = try begin()
        try refused.send(.entry(TransferEntry(.regular(sizeBytes: 0), path: "no/where", permissions: 0o644)))
        guard case .failure(let failure) = try refused.next().message else { throw LinuxError.protocolError }
        #expect(failure.text.description.hasSuffix("left there: 2 files and folders"))
        try Data("old".utf8).write(to: URL(fileURLWithPath: target + "/second"))
        try expectOld()
        // By the other side's end.
        do {
            let abandoned = try begin()
            for _ in 0..<6000 where try names().count < 3 { sleep(nanoseconds: 5_000_000) }
            #expect(try names().count == 3)
            abandoned.connection.endOfInput()
            _ = try? abandoned.connection.receiveAll()
        }
        try expectOld()
    }

    @Test func aFolderThatWasThereKeepsItsPermissions() throws {
        let agent = try TestAgent()
        let target = agent.folder + "/there"
        try FileManager.default.createDirectory(
            atPath: target, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o750])
        let into = TestFiles(try agent.connect(Opening(.files)))
        try into.send(.copyIn(CopyIn(destination: ByteString(target))))
        try into.send(.entry(TransferEntry(.directory, path: "", permissions: 0o777)))
        try into.send(.entry(TransferEntry(.directory, path: "new", permissions: 0o711)))
        try into.send(.end)
        #expect(try into.next().message == .finished(entries: 2, bytes: 0))
        func permissions(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try permissions(target) == 0o750)
        #expect(try permissions(target + "/new") == 0o711)
    }

    @Test func aMissingFileAndAPlaceThatIsNotThereAreNamed() throws {
        let agent = try TestAgent()
        let out = TestFiles(try agent.connect(Opening(.files)))
        try out.send(.copyOut(path: "/no/such/file"))
        guard case .failure(let failure) = try out.next().message else { throw LinuxError.protocolError }
        #expect(failure.code == .noSuchFile)
        let control = try agent.control()
        try control.send(.status(path: "/etc"), id: 4)
        guard case .fileStatus(let status) = try control.next().message else { throw LinuxError.protocolError }
        #expect(status.isDirectory)
    }
}
