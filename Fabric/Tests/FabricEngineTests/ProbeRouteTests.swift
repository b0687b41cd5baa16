import AgentProtocol
import Testing

@testable import FabricEngine

@Suite struct ProbeRouteTests {
    private func frame(_ inner: String, _ outer: String, isOutward: Bool) throws -> [UInt8] {
        let route = ProbeRoute(
            inside: ProbeRoute.Side(
                address: try #require(IPAddress(inner)), own: [2, 0, 0, 0, 0, 1], station: [2, 0, 0, 0, 0, 2]),
            outside: ProbeRoute.Side(
                address: try #require(IPAddress(outer)), own: [2, 0, 0, 0, 0, 3], station: [2, 0, 0, 0, 0, 4]))
        return route.frame([UInt8](1...19), isOutward: isOutward)
    }

    /// What a receiver makes of words with their check among them: zero.
    private func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum = 0
        for place in stride(from: 0, to: bytes.count, by: 2) {
            sum += Int(bytes[place]) << 8 | (place + 1 < bytes.count ? Int(bytes[place + 1]) : 0)
        }
        while sum > 0xffff { sum = (sum & 0xffff) + sum >> 16 }
        return ~UInt16(truncatingIfNeeded: sum)
    }

    @Test func `a probe of IPv4 is a datagram from one network's own address to the other's`() throws {
        for (isOutward, ends, addresses) in [
            (true, [2, 1], [[10, 9, 1, 1], [10, 9, 2, 1]]), (false, [4, 3], [[10, 9, 2, 1], [10, 9, 1, 1]]),
        ] as [(Bool, [UInt8], [[UInt8]])] {
            let frame = try frame("10.9.1.1", "10.9.2.1", isOutward: isOutward)
            #expect(frame.count == 14 + 20 + 8 + 19)
            #expect([frame[5], frame[11]] == ends && frame[12..<15] == [8, 0, 0x45])
            let packet = Array(frame[14...])
            #expect(packet[2..<4] == [0, 47] && packet[9] == 17 && sum(Array(packet[..<20])) == 0)
            #expect(Array(packet[12..<16]) == addresses[0] && Array(packet[16..<20]) == addresses[1])
            #expect(packet[20..<26] == [0x53, 0x57, 0x53, 0x57, 0, 27])
            #expect(sum(Array(packet[12..<20]) + [0, 17, 0, 27] + Array(packet[20...])) == 0)
            #expect(Array(packet[28...]) == [UInt8](1...19))
        }
    }

    @Test func `a probe of IPv6 is one, too`() throws {
        let frame = try frame("fd00:9:1::1", "fd00:9:2::1", isOutward: true)
        let packet = Array(frame[14...])
        #expect(frame[12..<15] == [0x86, 0xdd, 0x60] && packet[4..<8] == [0, 27, 17, 64])
        #expect(packet.count == 40 + 27 && Array(packet[48...]) == [UInt8](1...19))
        #expect(sum(Array(packet[8..<40]) + [0, 27, 0, 17] + Array(packet[40...])) == 0)
    }
}
