import AgentProtocol
import FabricProtocol
import FabricTestSupport
import Foundation
import LinuxCalls
import Testing

@testable import Packets

private func packet(_ transport: TraceRequest.Transport, from source: String, to destination: String) throws
    -> TracePacket
{
    let request = TraceRequest(
        port: 7, transport: transport, station: [2, 0, 0, 0, 0, 7], nextStation: [2, 0, 0, 0, 0, 8],
        source: try #require(IPAddress(source)), destination: try #require(IPAddress(destination)),
        destinationPort: transport == .icmp ? 0 : 80, milliseconds: 2000)
    return TracePacket(request, random: [0xde, 0xad, 0xbe, 0xef, 0x12, 0x34])
}

private let ends = [("10.9.0.2", "10.8.0.3"), ("fd00::2", "fd01::3")]

/// What whoever was asked says: its addresses and ports the other way round.
private func answer(to packet: TracePacket, _ change: (inout [UInt8], Int) -> Void) -> [UInt8] {
    var frame = packet.frame
    let isVersion6 = packet.request.source.family == .v6
    let (addresses, width, transport) = isVersion6 ? (22, 16, 54) : (26, 4, 34)
    for place in 0..<width { frame.swapAt(addresses + place, addresses + width + place) }
    change(&frame, transport)
    return frame
}

/// A message that quotes so much of a packet behind its network's header.
private func refusal(of packet: TracePacket, kind: UInt8, code: UInt8, quotes count: Int) -> [UInt8] {
    let isVersion6 = packet.request.source.family == .v6
    let frame = packet.frame
    let header = isVersion6 ? 40 : 20
    var message = Array(frame[..<(14 + header)])
    if isVersion6 { message[20] = 58 } else { message[23] = 1 }
    message += [kind, code, 0, 0, 0, 0, 0, 0]
    return message + frame[14..<(14 + header + count)]
}

@Suite struct TracePacketTests {
    @Test(arguments: ends, [TraceRequest.Transport.tcp, .udp, .icmp])
    func `it is a packet whose sums are right, and is known again`(
        ends: (String, String), transport: TraceRequest.Transport
    ) throws {
        let packet = try packet(transport, from: ends.0, to: ends.1)
        let isVersion6 = ends.0.contains(":")
        let contents = Array(packet.frame[(isVersion6 ? 54 : 34)...])
        if !isVersion6 { #expect(InternetChecksum.of(Array(packet.frame[14..<34])) == 0) }
        var summed = contents
        if transport != .icmp || isVersion6 {
            let number: UInt8 = transport == .tcp ? 6 : transport == .udp ? 17 : 58
            summed =
                packet.request.source.bytes + packet.request.destination.bytes + [0, number, 0, UInt8(contents.count)]
                + contents
        }
        #expect(InternetChecksum.of(summed) == 0)
        let sighting = try #require(packet.sighting(inFrame: packet.frame))
        #expect(sighting.kind == .question && sighting.source == packet.request.source)
        #expect(try FilterMachine(packet.program(bytes: 96)).run(packet.frame) == 96)
        for mark in packet.marks.prefix(1) {
            let word = contents[Int(mark.offset)..<Int(mark.offset) + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            #expect(word == mark.word)
        }
    }

    @Test(arguments: ends)
    func `what answers a connection's beginning is known by the number that it repeats`(ends: (String, String)) throws {
        let packet = try packet(.tcp, from: ends.0, to: ends.1)
        for (flags, kind) in [(0x12, PacketSighting.Kind.accepted), (0x14, .reset), (0x10, .answered)]
            as [(UInt8, PacketSighting.Kind)]
        {
            let frame = answer(to: packet) { frame, head in
                for place in 0..<4 {
                    frame[head + 8 + place] = UInt8(truncatingIfNeeded: (packet.word &+ 1) >> UInt32(24 - 8 * place))
                    frame[head + 4 + place] = 0x55
                }
                frame[head + 13] = flags
            }
            #expect(packet.sighting(inFrame: frame)?.kind == kind)
            #expect(try FilterMachine(packet.program(bytes: 96)).run(frame) == 96)
        }
    }

    @Test(arguments: ends)
    func `datagrams and pings are answered by what turns their ends or repeats their contents`(ends: (String, String))
        throws
    {
        let datagram = try packet(.udp, from: ends.0, to: ends.1)
        let short = answer(to: datagram) { frame, head in
            for place in 0..<2 { frame.swapAt(head + place, head + 2 + place) }
            frame.removeLast(frame.count - head - 8)
        }
        #expect(datagram.sighting(inFrame: short)?.kind == .answered)
        #expect(try FilterMachine(datagram.program(bytes: 96)).run(short) == 96)
        let ping = try packet(.icmp, from: ends.0, to: ends.1)
        let echo = answer(to: ping) { frame, head in frame[head] = ends.0.contains(":") ? 129 : 0 }
        #expect(ping.sighting(inFrame: echo)?.kind == .answered)
        #expect(try FilterMachine(ping.program(bytes: 96)).run(echo) == 96)
    }

    @Test(arguments: ends, [TraceRequest.Transport.tcp, .udp, .icmp])
    func `messages that quote it are told, however little they quote`(
        ends: (String, String), transport: TraceRequest.Transport
    ) throws {
        let packet = try packet(transport, from: ends.0, to: ends.1)
        let kind: UInt8 = ends.0.contains(":") ? 1 : 3
        for count in [8, 12] {
            let frame = refusal(of: packet, kind: kind, code: 1, quotes: count)
            #expect(packet.sighting(inFrame: frame)?.kind == .refused(kind: kind, code: 1))
            #expect(try FilterMachine(packet.program(bytes: 96)).run(frame) == 96)
        }
        let other = TracePacket(packet.request, random: [1, 2, 3, 4, 5, 6])
        #expect(other.sighting(inFrame: refusal(of: packet, kind: kind, code: 1, quotes: 12)) == nil)
    }

    @Test(arguments: ends, [TraceRequest.Transport.tcp, .udp, .icmp])
    func `other packets are none, and no length of one breaks anything`(
        ends: (String, String), transport: TraceRequest.Transport
    ) throws {
        let packet = try packet(transport, from: ends.0, to: ends.1)
        let other = TracePacket(packet.request, random: [1, 2, 3, 4, 5, 6])
        #expect(other.sighting(inFrame: packet.frame) == nil)
        #expect(try FilterMachine(other.program(bytes: 96)).run(packet.frame) == 0)
        let machine = try FilterMachine(packet.program(bytes: 96))
        for frame in [packet.frame, refusal(of: packet, kind: 3, code: 3, quotes: 12)] {
            for length in frame.indices {
                let cut = Array(frame[..<length])
                _ = packet.sighting(inFrame: cut)
                _ = try machine.run(cut)
            }
        }
    }

    @Test func `a request is read as it was written, and others are refused`() throws {
        let request = try packet(.tcp, from: "10.9.0.2", to: "10.8.0.3").request
        #expect(try TraceRequest(request.arguments) == request)
        var own = request
        own.port = nil
        #expect(try TraceRequest(own.arguments) == own && own.arguments[0] == "outside")
        for (place, wrong) in [(0, "0"), (1, "sctp"), (2, "x"), (4, "fd00::1"), (6, "0"), (7, "0")] {
            var arguments = request.arguments
            arguments[place] = wrong
            #expect(throws: FabricFault.self) { try TraceRequest(arguments) }
        }
    }
}
