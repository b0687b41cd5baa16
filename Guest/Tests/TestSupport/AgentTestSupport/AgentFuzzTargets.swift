import AgentProtocol

/// What the fuzzers call, and what a test replays their corpora through: the readers of both sides.
///
/// Trust: the bytes are as hostile as can be. Whatever they are, a reader returns or throws; what it accepts survives being
/// written and read once more; and it holds no more than was sent.
public enum AgentFuzzTargets {
    /// What the agent reads: an opening, and then frames from the host.
    public static func host(_ bytes: [UInt8]) {
        opening(bytes)
        frames(HostMessage.self, bytes)
    }

    /// What the host reads: frames from an agent, in a guest that may be anybody's.
    public static func guest(_ bytes: [UInt8]) {
        opening(bytes)
        frames(AgentMessage.self, bytes)
    }

    /// What both sides read while files are copied.
    public static func files(_ bytes: [UInt8]) { frames(TransferMessage.self, bytes) }

    private static func opening(_ bytes: [UInt8]) {
        guard let opening = try? Opening(decoding: [UInt8](bytes.prefix(Opening.byteCount))) else { return }
        precondition((try? Opening(decoding: opening.encoded())) == opening, "an opening changed")
    }

    private static func frames<Message: FramedMessage>(_: Message.Type, _ bytes: [UInt8]) {
        var assembler = FrameAssembler<Message>()
        // In pieces of a length that the input chooses.
        let step = max(1, Int(bytes.first ?? 1))
        var position = 0
        while position < bytes.count {
            let end = min(position + step, bytes.count)
            assembler.append(bytes[position..<end])
            position = end
            do throws(ProtocolError) {
                while let frame = try assembler.next() { check(frame) }
            } catch {
                return
            }
            precondition(assembler.pendingCount <= bytes.count, "more is held than was sent")
        }
    }

    private static func check<Message: FramedMessage>(_ frame: Frame<Message>) {
        var again = FrameAssembler<Message>()
        again.append(frame.encoded())
        precondition((try? again.next()) == frame, "a message changed")
    }
}
