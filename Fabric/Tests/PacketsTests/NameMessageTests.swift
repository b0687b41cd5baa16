import AgentProtocol
import FabricProtocol
import FabricTestSupport
import LinuxCalls
import Testing

@testable import Packets

@Suite struct NameMessageTests {
    /// A question for `a.test`, and behind it answers, each with the name that it is about.
    private static func answer(code: UInt8, _ answers: [(name: [UInt8], type: UInt8, data: [UInt8])]) throws -> [UInt8]
    {
        var message = try #require(NameQuestion("a.test", isVersion6: false)).message(identifier: 0x1234)
        message[2] |= 0x80
        message[3] = 0x80 | code
        message[7] = UInt8(answers.count)
        for answer in answers {
            message += answer.name + [0, answer.type, 0, 1, 0, 0, 0, 60, 0, UInt8(answer.data.count)] + answer.data
        }
        return message
    }

    @Test func `a question is written as it is to be sent`() throws {
        let question = try #require(NameQuestion("a.Test", isVersion6: false))
        #expect(
            question.message(identifier: 0x1234)
                == [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 4, 0x54, 0x65, 0x73, 0x74, 0, 0, 1, 0, 1])
        let other = try #require(NameQuestion("a.Test", isVersion6: true)).message(identifier: 1)
        #expect(other.suffix(4) == [0, 28, 0, 1])
    }

    @Test(arguments: ["", ".", "a..b", "a.", "a b.test", "a/b", String(repeating: "a", count: 64), "ä.test"])
    func `what is no name is not asked for`(name: String) { #expect(NameQuestion(name, isVersion6: false) == nil) }

    @Test func `addresses are read, also behind other names and other records`() throws {
        let message = try Self.answer(
            code: 0,
            [
                ([0xc0, 12], 5, [1, 0x62, 0]), ([1, 0x62, 0], 1, [192, 0, 2, 1]), ([1, 0x62, 0], 1, [192, 0, 2, 2]),
                ([0], 28, [0xfd] + [UInt8](repeating: 0, count: 14) + [7]),
            ])
        let answer = try #require(NameAnswer(message[...]))
        #expect(answer.code == 0 && answer.addresses.map(\.description) == ["192.0.2.1", "192.0.2.2", "fd00::7"])
        #expect(try NameAnswer(Self.answer(code: 3, [])[...])?.code == 3)
        let question = try #require(NameQuestion("a.test", isVersion6: false)).message(identifier: 1)
        #expect(NameAnswer(question[...]) == nil)
    }

    @Test func `no length of one, and nothing in it, breaks anything`() throws {
        let whole = try Self.answer(code: 0, [([0xc0, 12], 1, [192, 0, 2, 1]), ([0xc0, 12], 1, [192, 0, 2, 2])])
        for length in whole.indices { #expect((NameAnswer(whole[..<length])?.addresses.count ?? 0) < 2) }
        for place in whole.indices {
            for value in [UInt8(0), 0x7f, 0xc0, 0xff] {
                var wrong = whole
                wrong[place] = value
                _ = NameAnswer(wrong[...])
            }
        }
    }

    @Test(arguments: [("10.9.0.2", "10.9.0.1"), ("fd00::2", "fd00::1")])
    func `a question goes into a datagram, and its answer is read from one`(ends: (String, String)) throws {
        var request = TraceRequest(
            port: 7, transport: .udp, station: [2, 0, 0, 0, 0, 7], nextStation: [2, 0, 0, 0, 0, 8],
            source: try #require(IPAddress(ends.0)), destination: try #require(IPAddress(ends.1)), destinationPort: 53,
            milliseconds: 2000)
        request.question = NameQuestion("a.test", isVersion6: ends.0.contains(":"))
        #expect(try TraceRequest(request.arguments) == request)
        for wrong in [["a..b", "4"], ["a.test", "5"]] {
            #expect(throws: FabricFault.self) { try TraceRequest(Array(request.arguments.prefix(8)) + wrong) }
        }
        let packet = TracePacket(request, random: [0xde, 0xad, 0xbe, 0xef, 0x12, 0x34])
        #expect(packet.sighting(inFrame: packet.frame)?.kind == .question)
        #expect(try FilterMachine(packet.program(bytes: 96)).run(packet.frame) == 96)
        let isVersion6 = ends.0.contains(":")
        let head = isVersion6 ? 54 : 34
        #expect(Array(packet.frame[(head + 8)...]) == request.question?.message(identifier: 0xdead))
        // What answers it has its ports the other way round, and its number.
        var frame = Array(packet.frame[..<(head + 8)]) + (try Self.answer(code: 0, [([0xc0, 12], 1, [192, 0, 2, 1])]))
        for place in 0..<2 { frame.swapAt(head + place, head + 2 + place) }
        #expect(packet.answer(inFrame: frame) == nil, "it has another number")
        (frame[head + 8], frame[head + 9]) = (0xde, 0xad)
        #expect(packet.answer(inFrame: frame)?.addresses.map(\.description) == ["192.0.2.1"])
    }
}
