import AgentProtocol
import FabricProtocol
import LinuxCalls
import Packets
import Wiring

/// Up to the first zero a filter, behind it a frame. Whatever they are, the filter is refused at a place in it or is a program that comes to its end,
/// and the frame has a line of plain words.
public func fuzzPackets(_ input: [UInt8]) {
    _ = try? RuleTraceEvent.read(input)
    _ = NameAnswer(input[...])
    let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    let frame = parts.count > 1 ? Array(parts[1]) : []
    let text = String(decoding: parts.first ?? [], as: UTF8.self)
    let words = PacketSummary.text(frame, length: frame.count)
    precondition(words.bytes.allSatisfy { (0x20...0x7e).contains($0) }, "a frame's line is plain")
    follow(frame, of: Array(input.prefix(6)))
    do throws(FilterFault) {
        let filter = try PacketFilter(text)
        for frame in [frame, Array(frame.prefix(20)), []] {
            guard let machine = try? FilterMachine(filter.program(bytes: 96)), let kept = try? machine.run(frame)
            else { preconditionFailure("a filter is a program") }
            precondition(kept == 0 || kept == 96, "a frame is wanted or not")
            let opposite = text.utf8.allSatisfy { $0 <= 0x20 } ? "" : "not (\(text))"
            if let other = try? PacketFilter(opposite), !opposite.isEmpty {
                let rest = try? FilterMachine(other.program(bytes: 96)).run(frame)
                precondition(rest != kept, "what is not wanted is the opposite of what is")
            }
        }
    } catch {
        precondition((1...max(text.utf8.count, 4096) + 1).contains(error.column), "a fault has a place")
    }
}

/// What is known again of a packet that is traced is let through by the kernel's filter as well.
private func follow(_ frame: [UInt8], of random: [UInt8]) {
    let ends = [
        (IPAddress(v4: 10, 9, 0, 2), IPAddress(v4: 10, 9, 0, 3)),
        (IPAddress(v6: 2), IPAddress(v6: 3)),
    ]
    for (source, destination) in ends {
        for transport in [TraceRequest.Transport.tcp, .udp, .icmp] {
            let request = TraceRequest(
                port: 1, transport: transport, station: [2, 0, 0, 0, 0, 1], nextStation: [2, 0, 0, 0, 0, 2],
                source: source, destination: destination, destinationPort: transport == .icmp ? 0 : 80,
                milliseconds: 1)
            let packet = TracePacket(request, random: random)
            guard packet.sighting(inFrame: frame) != nil else { continue }
            let kept = try? FilterMachine(packet.program(bytes: 96)).run(frame)
            precondition(kept == 96, "what is known again is wanted")
        }
    }
}

extension IPAddress {
    /// `fd00::` and that.
    fileprivate init(v6 last: UInt8) {
        self = IPAddress(networkOrder: [0xfd] + [UInt8](repeating: 0, count: 14) + [last]) ?? IPAddress(v4: 0, 0, 0, 0)
    }
}
