import AgentProtocol
import FabricTestSupport
import Foundation
import Testing

@testable import Packets

@Suite struct PacketTests {
    private let stations: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]

    private func text(_ bytes: [UInt8]) -> String {
        PacketSummary.text(stations + bytes, length: 60).description
    }

    private func version4(_ transport: UInt8, _ payload: [UInt8], piece: [UInt8] = [0, 0]) -> [UInt8] {
        [8, 0, 0x45, 0, 0, 40, 0, 0] + piece + [64, transport, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2] + payload
    }

    @Test func `a frame is told in plain words`() {
        let ports: [UInt8] = [0xa0, 0x01, 0, 80]
        let rest = [UInt8](repeating: 0, count: 8)
        #expect(text(version4(6, ports + rest + [0x50, 0x12])) == "tcp 10.0.0.1:40961 > 10.0.0.2:80 SYN ACK, 60 bytes")
        #expect(text(version4(17, ports + rest)) == "udp 10.0.0.1:40961 > 10.0.0.2:80, 60 bytes")
        #expect(text(version4(1, [8, 0, 0, 0, 0, 1, 0, 3])) == "icmp 10.0.0.1 > 10.0.0.2 echo 3, 60 bytes")
        #expect(text(version4(1, [3, 13, 0, 0])) == "icmp 10.0.0.1 > 10.0.0.2 unreachable code 13, 60 bytes")
        #expect(text(version4(17, ports, piece: [0, 2])) == "udp 10.0.0.1 > 10.0.0.2 piece at 16, 60 bytes")
        #expect(
            text(version4(17, ports, piece: [0x20, 0])) == "udp 10.0.0.1:40961 > 10.0.0.2:80 first piece, 60 bytes")
        #expect(text([0x88, 0xb5, 0, 0]) == "type 0x88b5 02:00:00:00:00:02 > 02:00:00:00:00:01, 60 bytes")
        #expect(text([0x81, 0, 0, 7] + version4(17, ports)) == "vlan 7 udp 10.0.0.1:40961 > 10.0.0.2:80, 60 bytes")
        let arp: [UInt8] = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]
        #expect(text(arp) == "arp who has 10.0.0.2? tell 10.0.0.1, 60 bytes")
        let addresses: [UInt8] =
            [0xfd, 0] + [UInt8](repeating: 0, count: 13) + [1] + [0xfd, 0] + [UInt8](repeating: 0, count: 13) + [2]
        let version6: [UInt8] = [0x86, 0xdd, 0x60, 0, 0, 0, 0, 20]
        #expect(
            text(version6 + [0, 64] + addresses + [6, 0, 0, 0, 0, 0, 0, 0] + ports + rest + [0x50, 0x02])
                == "tcp [fd00::1]:40961 > [fd00::2]:80 SYN, 60 bytes")
        #expect(
            text(version6 + [58, 255] + addresses + [135, 0])
                == "icmp6 fd00::1 > fd00::2 neighbour solicitation, 60 bytes")
    }

    @Test func `what is cut or bent is told as that`() {
        for count in 0..<stations.count {
            #expect(PacketSummary.text(Array(stations[..<count]), length: 9) == "frame (cut), 9 bytes")
        }
        #expect(text([8, 0, 0x45]) == "ip (cut), 60 bytes")
        #expect(text(version4(6, [0])) == "tcp 10.0.0.1 > 10.0.0.2 (cut), 60 bytes")
        var frames = Frames(seed: 1)
        for _ in 0..<2000 {
            let frame = frames.next(tags: true, extensions: true)
            for count in [frame.count, frame.count / 2] { fuzzPackets([0] + frame[..<count]) }
        }
    }

    @Test func `every block of a capture says how long it is, at both ends`() {
        let places = [CapturePlace(name: "web:eth0", description: "x"), CapturePlace(name: "lan", description: "yyyy")]
        var file = CaptureFile.head(places, filter: "tcp", snapshotBytes: 96)
        for length in 0..<9 {
            let frame = CapturedFrame(
                nanoseconds: 1 << 40, isOutgoing: length % 2 == 0, bytes: [UInt8](repeating: 1, count: length),
                length: 60)
            file += CaptureFile.packet(frame, at: length % 2)
        }
        file += CaptureFile.statistics(at: 1, from: 1, to: 2, frames: 3, drops: 4)
        var place = 0
        var types: [UInt32] = []
        func number(_ place: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(file[place + $1]) << UInt32(8 * $1) } }
        while place < file.count {
            types.append(number(place))
            let length = Int(number(place + 4))
            #expect(length % 4 == 0 && length >= 12 && Int(number(place + length - 4)) == length)
            place += length
        }
        #expect(place == file.count)
        #expect(types == [0x0a0d_0d0a, 1, 1] + [UInt32](repeating: 6, count: 9) + [5])
    }

    @Test func `what the fuzzers found is asked again without a trap`() throws {
        let folder = URL(filePath: #filePath).appending(path: "../../../../Fuzz/Corpus/packets").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files { fuzzPackets(Array(try Data(contentsOf: file))) }
    }
}
