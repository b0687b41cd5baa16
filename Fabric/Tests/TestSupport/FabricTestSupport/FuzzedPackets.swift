import LinuxCalls
import Packets

/// Up to the first zero a filter, behind it a frame. Whatever they are, the filter is refused at a place in it or is a program that comes to its end,
/// and the frame has a line of plain words.
public func fuzzPackets(_ input: [UInt8]) {
    let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    let frame = parts.count > 1 ? Array(parts[1]) : []
    let text = String(decoding: parts.first ?? [], as: UTF8.self)
    let words = PacketSummary.text(frame, length: frame.count)
    precondition(words.bytes.allSatisfy { (0x20...0x7e).contains($0) }, "a frame's line is plain")
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
