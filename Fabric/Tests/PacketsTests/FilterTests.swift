import FabricTestSupport
import Foundation
import LinuxCalls
import Testing

@testable import Packets

private let tcpdump = ["/usr/bin/tcpdump", "/usr/sbin/tcpdump"].first {
    FileManager.default.isExecutableFile(atPath: $0)
}

@Suite struct FilterTests {
    private func fault(_ text: String) -> FilterFault? {
        do throws(FilterFault) { _ = try PacketFilter(text) } catch { return error }
        return nil
    }

    private func matches(_ text: String, _ frame: [UInt8]) throws -> Bool {
        try FilterMachine(PacketFilter(text).program(bytes: 96)).run(frame) == 96
    }

    /// What tcpdump makes of a filter, for the same machine.
    private func judge(_ text: String) throws -> FilterMachine {
        let folder = FileManager.default.temporaryDirectory.appending(path: "filter-\(UUID().uuidString)")
        // An empty capture of Ethernet.
        let head: [UInt8] =
            [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0] + [UInt8](repeating: 0, count: 8) + [0, 0, 4, 0, 1, 0, 0, 0]
        try Data(head).write(to: folder)
        defer { try? FileManager.default.removeItem(at: folder) }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: try #require(tcpdump))
        process.arguments = ["-r", folder.path, "-ddd", text]
        process.standardOutput = output
        process.standardError = Pipe()
        try process.run()
        let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self).split(
            separator: "\n")
        process.waitUntilExit()
        let program = lines.dropFirst().map { line in
            let numbers = line.split(separator: " ").compactMap { UInt32($0) }
            return FilterInstruction(code: UInt16(numbers[0]), UInt8(numbers[1]), UInt8(numbers[2]), numbers[3])
        }
        try #require(!program.isEmpty, "tcpdump refuses \(text)")
        return try FilterMachine(program)
    }

    private static let filters = [
        "ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "sctp", "host 10.190.0.2", "src host 10.190.0.3",
        "dst 10.190.0.2", "net 10.190.0.0/24", "src net 10.0.0.0/8", "net 0.0.0.0/0", "host fd00::1",
        "dst net fd00::/64",
        "ip6 host fd00::2", "arp host 10.190.0.2", "ip host 10.190.0.2", "ip net 10.190.1.0/24", "port 80",
        "tcp port 80",
        "udp dst port 53", "src port 443", "portrange 8080-8090", "tcp src portrange 1-1000", "sctp port 80",
        "ether host 02:00:00:00:00:01", "ether src 02:00:00:00:00:02", "ether dst host 02:00:00:00:00:03",
        "not arp", "! tcp && ! udp", "tcp port 80 or 443", "port 53 or port 80 and host 10.190.0.2",
        "port 53 or (port 80 and host 10.190.0.2)", "not (tcp or udp) and host 10.190.0.2 or arp",
        "src 10.190.0.2 and dst 10.190.0.3 and (tcp port 80 or udp port 53)", "not host 10.190.0.2 and 10.190.0.3",
        "tcp dst port 80 or 443 or 53 and not src host 10.190.1.2",
    ]

    @Test(.enabled(if: tcpdump != nil, "tcpdump, which judges, is not here"), arguments: filters)
    func `a filter wants the frames that tcpdump's wants`(text: String) throws {
        let (own, other) = (try FilterMachine(PacketFilter(text).program(bytes: 96)), try judge(text))
        var frames = Frames(seed: 7)
        var wanted = 0
        for _ in 0..<8000 {
            let frame = frames.next(tags: false, extensions: false)
            // In what is cut, tcpdump ends with nothing whatever was asked; here a cut header is none.
            let isWhole =
                frame.count >= 12
                && (try? other.run(frame + [UInt8](repeating: 0, count: 64))) == (try? other.run(frame))
            guard isWhole, frame.count >= 60 || (frame.count == 42 && frame[12...13] == [8, 6]) else { continue }
            let verdict = try own.run(frame) != 0
            #expect(try verdict == (other.run(frame) != 0), "\(text): \(frame)")
            if verdict { wanted += 1 }
        }
        #expect(wanted > 0, "no frame is wanted by \(text)")
    }

    @Test func `tags and headers of IPv6 are looked behind`() throws {
        var frames = Frames(seed: 3)
        var count = 0
        for _ in 0..<3000 {
            let frame = frames.next(tags: true, extensions: true)
            guard frame.count > 100 || (frame.count > 60 && frame[12...13] == [0x81, 0]) else { continue }
            let isTagged = frame[12...13] == [0x81, 0]
            let type = Array(isTagged ? frame[16...17] : frame[12...13])
            let network = isTagged ? 18 : 14
            guard type == [0x86, 0xdd], frame.count == network + 40 + 36 + 20 else { continue }
            count += 1
            // The one behind the last header.
            let transport = frame[network + 40 + 28]
            #expect(try matches("ip6", frame))
            #expect(try matches("tcp", frame) == (transport == 6))
            #expect(try matches("icmp6", frame) == (transport == 58))
            let place = network + 40 + 36
            let port = Int(frame[place]) << 8 | Int(frame[place + 1])
            #expect(try matches("src port \(port)", frame) == [6, 17, 132].contains(transport))
        }
        #expect(count > 100)
    }

    @Test func `only the first piece has ports`() throws {
        let head: [UInt8] = [UInt8](repeating: 2, count: 12) + [8, 0, 0x45, 0, 0, 40, 0, 0]
        let tail: [UInt8] = [64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0, 80] + [UInt8](repeating: 0, count: 16)
        #expect(try matches("port 53", head + [0x20, 0] + tail))
        #expect(try !matches("port 53", head + [0, 1] + tail))
        #expect(try matches("udp and not port 53", head + [0, 1] + tail))
    }

    @Test func `what is cut is nothing, and its opposite is everything`() throws {
        let whole: [UInt8] = [UInt8](repeating: 2, count: 12) + [8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0]
        for count in 0...whole.count {
            for text in ["host 10.0.0.1", "tcp port 80", "port 80", "ether host 02:02:02:02:02:03", "host fd00::1"] {
                #expect(try !matches(text, Array(whole[..<count])))
                #expect(try matches("not (\(text))", Array(whole[..<count])))
            }
        }
    }

    @Test(
        arguments: [
            ("host", 5, "value"), ("host 10.0.0", 6, "address"), ("tcp port http", 10, "port's number"),
            ("port 65536", 6, "port"),
            ("(tcp", 5, "\")\""), ("tcp)", 4, "not expected"), ("tcp and", 8, "missing"), ("and tcp", 1, "missing"),
            ("tcp udp", 5, "as in tcp port 80"),
            ("tcp prot 80", 5, "\"prot\" may not follow \"tcp\""), ("portrange 5-1", 11, "range"),
            ("ip host fd00::1", 9, "no such address"),
            ("tcp 80", 5, "port 80"), ("ether 10.0.0.1", 7, "hardware"), ("icmp port 1", 1, "no ports"),
            ("nonsense", 1, "no word"),
            ("net 10.0.0.0/33", 5, "network"), ("host 10.0.0.1 or", 17, "missing"), ("tcp\u{e9}", 4, "ASCII"),
            ("ether", 1, "follows"), ("not", 4, "missing"), ("tcp port 80 && || udp", 16, "missing"),
        ] as [(String, Int, String)])
    func `what is no filter is refused at its place`(text: String, column: Int, words: String) throws {
        let fault = try #require(self.fault(text), "\(text) is taken")
        #expect(fault.column == column, "\(fault)")
        #expect(fault.description.contains(words), "\(fault)")
    }

    @Test func `a filter that is too long or too deep is refused`() {
        #expect(fault(String(repeating: "(", count: 40) + "tcp" + String(repeating: ")", count: 40)) != nil)
        #expect(fault(Array(repeating: "tcp", count: 65).joined(separator: " or ")) != nil)
        #expect(fault(String(repeating: " ", count: 5000) + "tcp") != nil)
        #expect(fault(Array(repeating: "host fd00::1", count: 64).joined(separator: " or ")) == nil)
        #expect(fault("") == nil)
    }
}
