import Testing
import WireFormats

@testable import AgentProtocol

@Suite struct FrameAssemblerTests {
    @Test func framesComeOutWhateverThePiecesTheyArriveIn() throws {
        for size in [1, 2, 7, 11, 12, 13, 64, 10_000] {
            var generator = SeededGenerator(seed: UInt64(size))
            var expected: [Frame<HostMessage>] = []
            for _ in 0..<4 {
                for message in generator.hostMessages() { expected.append(Frame(message, id: generator.integer())) }
            }
            let bytes = expected.flatMap { $0.encoded() }
            var assembler = FrameAssembler<HostMessage>()
            var seen: [Frame<HostMessage>] = []
            var position = 0
            while position < bytes.count {
                let end = min(position + size, bytes.count)
                assembler.append(bytes[position..<end])
                position = end
                while let frame = try assembler.next() { seen.append(frame) }
            }
            #expect(seen == expected)
            #expect(assembler.pendingCount == 0)
        }
    }

    @Test func aFrameThatIsTooLongIsRefusedByItsHeader() {
        var writer = LittleEndianWriter()
        writer.write(UInt32(Limits.hostPayloadBytes + 1))
        writer.write(UInt16(1))
        writer.write(UInt16(0))
        writer.write(UInt32(0))
        var assembler = FrameAssembler<HostMessage>()
        assembler.append(writer.bytes)
        #expect(throws: ProtocolError.frameTooLong(UInt32(Limits.hostPayloadBytes + 1))) { try assembler.next() }
    }

    @Test func messagesOfTheOtherDirectionAreUnknown() {
        var assembler = FrameAssembler<HostMessage>()
        assembler.append(Frame(AgentMessage.configured).encoded())
        #expect(throws: ProtocolError.unknownMessage(130)) { try assembler.next() }
    }

    @Test func rawBytesAfterTheLastFrameAreHandedOver() throws {
        var assembler = FrameAssembler<AgentMessage>()
        assembler.append(Frame(AgentMessage.connected).encoded() + [1, 2, 3])
        #expect(try assembler.next()?.message == .connected)
        #expect(assembler.takeRest() == [1, 2, 3])
        #expect(assembler.pendingCount == 0)
    }
}
