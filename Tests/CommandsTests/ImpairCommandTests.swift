import Fleet
import Testing

@testable import Commands

@Suite struct ImpairCommandTests {
    @Test(arguments: [("0", 0), ("1.5", 1.5), ("1.5%", 1.5), ("100", 100), ("0.001", 0.001), ("007.250", 7.25)])
    func `a share of a hundred is read`(text: String, percent: Double) throws {
        #expect(try ImpairCommand.percent(text, "--loss") == percent)
    }

    @Test(arguments: [
        "", "%", ".", "1.", ".5", "100.001", "101", "-1", "+1", "1e1", "0x1", "1.5555", "1,5", "nan", "1 %", "1.2.3",
    ])
    func `what is none is refused`(text: String) {
        #expect(throws: CommandFailure.self) { try ImpairCommand.percent(text, "--loss") }
    }

    @Test(arguments: [
        ("400kbit", 400), ("10mbit", 10_000), ("1.5Mbit", 1500), ("10gbit", 10_000_000), ("8000bit", 8), ("0mbit", 0),
    ])
    func `a rate is read`(text: String, kilobits: UInt32) throws {
        #expect(try ImpairCommand.kilobits(text) == kilobits)
    }

    @Test(arguments: [
        "", "10", "mbit", "10mb", "11gbit", "-1kbit", "nanmbit", "infgbit", "1bit", "10 mbyte", "1e30kbit",
    ])
    func `what is none is refused as well`(text: String) {
        #expect(throws: CommandFailure.self) { try ImpairCommand.kilobits(text) }
    }

    @Test func `a time has a unit`() throws {
        #expect(try ImpairCommand.microseconds("80ms", "--delay") == 80_000)
        #expect(try ImpairCommand.microseconds("1.5s", "--delay") == 1_500_000)
        #expect(try ImpairCommand.microseconds("0", "--delay") == 0)
        for text in ["80", "5", "0.5", "11s", "ms", ""] {
            #expect(throws: CommandFailure.self) { try ImpairCommand.microseconds(text, "--delay") }
        }
        let error = #expect(throws: CommandFailure.self) { try ImpairCommand.microseconds("80", "--delay") }
        #expect(error?.message == "--delay takes a unit: 80ms, or 80s")
    }

    @Test func `between two networks both are named, and the ways by them`() throws {
        func parsed(_ words: String...) throws -> ImpairCommand { try ImpairCommand.parse(words) }
        for words in [["between", "a", "and", "b"], ["between", "a", "b"]] {
            let command = try ImpairCommand.parse(words + ["--delay", "1ms", "--direction", "to-b"])
            #expect(try #require(command.networks) == ("a", "b"))
            #expect(try command.ways(("a", "b")) == (false, true))
            #expect(try command.ways(("b", "a")) == (true, false))
            #expect(throws: CommandFailure.self) { try command.ways(("machine", "network")) }
        }
        #expect(try parsed("web", "--off").networks == nil)
        #expect(try parsed("web", "--off").ways(("machine", "network")) == (true, true))
        for wrong in [
            ["between"], ["between", "a"], ["between", "a", "and"], ["web", "other"], ["between", "a", "or", "b"],
        ] {
            #expect(throws: (any Error).self) { try ImpairCommand.parse(wrong + ["--off"]) }
        }
    }

    @Test func `what is so is told in words`() {
        var way = WireImpairment.Way()
        #expect(way.words == "nothing")
        way.delayMicroseconds = 80_000
        way.jitterMicroseconds = 1500
        way.lossPercent = 1.5
        way.duplicatePercent = 2
        way.rateKilobitsPerSecond = 10_000
        #expect(way.words == "delay 80ms ± 1.5ms, loss 1.5%, duplicate 2%, rate 10mbit")
        way.rateKilobitsPerSecond = 1_500_000
        #expect(way.words.hasSuffix("rate 1.5gbit"))
        way.rateKilobitsPerSecond = 1234
        #expect(way.words.hasSuffix("rate 1234kbit"))
    }
}
