import Foundation
import HostFiles
import Testing

@testable import Fleet

@Suite struct LogTests {
    private let folder = NSTemporaryDirectory() + "logs-\(UInt64.random(in: 0...UInt64.max))"

    @Test func `a log never grows over twice its bound`() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let log = OutputLog(path: folder + "/output.log")
        let flood = [UInt8](repeating: 0x78, count: 64 << 10)
        for _ in 0..<400 { _ = log.write(flood.span, from: .standardOutput) }
        var total = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            total += try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)).count
        }
        #expect(total > OutputLog.maximumBytes && total <= 2 * OutputLog.maximumBytes)
    }

    @Test func `a flood on a full disk does not take the place of what is there`() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder + "/output.log"
        try Data("older".utf8).write(to: URL(fileURLWithPath: path + ".1"))
        let chunk = [UInt8](repeating: 0x78, count: 600)
        do {
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
            let log = BoundedLog(HostPath(path), maximumBytes: 1000)
            for _ in 0..<10 { log.append(chunk) }
            try FileManager.default.removeItem(atPath: path)
        }
        let log = BoundedLog(HostPath(path), maximumBytes: 1000)
        log.append(chunk)
        // The disk is full when the next file is begun.
        for _ in 0..<10 {
            try? FileManager.default.createSymbolicLink(atPath: path + ".new", withDestinationPath: "/dev/full")
            log.append(chunk)
        }
        #expect(try String(contentsOfFile: path + ".1", encoding: .utf8) == "older")
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(chunk))
        // There is room again.
        log.append(chunk)
        log.append([0x79])
        #expect(try Data(contentsOf: URL(fileURLWithPath: path + ".1")) == Data(chunk))
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(chunk + [0x79]))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["output.log", "output.log.1"])
    }

    @Test func `lines and unfinished lines are told apart`() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let log = OutputLog(path: folder + "/output.log")
        _ = log.write(Array("one\ntwo".utf8).span, from: .standardOutput)
        _ = log.write(Array("oops\n".utf8).span, from: .standardError)
        let text = try String(contentsOfFile: folder + "/output.log", encoding: .utf8)
        let entries = text.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1)[1] }
        #expect(entries == ["stdout F one", "stdout P two", "stderr F oops"])
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_795_232_631, "2026-11-21T03:43:51Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"), (.min, "1970-01-01T00:00:00Z"), (.max, "2500-01-01T00:00:00Z"),
        ] as [(Int64, String)])
    func `times are written as RFC 3339 has them`(seconds: Int64, text: String) {
        #expect(Timestamp.text(seconds: seconds) == text)
    }
}
