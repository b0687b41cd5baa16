import Testing

@testable import Wiring

@Suite struct FrameMatchTests {
    private let head: [UInt8] = [1, 0]
    private let rest = [UInt8](repeating: 0, count: 13)

    @Test func `without words it is every frame`() { #expect(FrameMatch().selector == head + [0] + rest) }

    @Test func `words are what the kernel reads: mask and value as on the wire, the place as its own numbers`() {
        let kind: [UInt8] = [0, 0, 0xff, 0xff, 0, 0, 0x88, 0xb5, 0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0]
        #expect(FrameMatch(etherType: 0x88b5).selector == head + [1] + rest + kind)
        let station: [UInt8] =
            [0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0xf2, 0xff, 0xff, 0xff, 0, 0, 0, 0]
            + [0xff, 0xff, 0, 0, 1, 9, 0, 0, 0xf6, 0xff, 0xff, 0xff, 0, 0, 0, 0]
        #expect(FrameMatch(to: [2, 0, 0, 0, 1, 9]).selector == head + [2] + rest + station)
        var match = FrameMatch()
        match.add(24, bytes: [10, 9, 8, 7, 1, 2, 3, 4])
        #expect(match.selector[16..<28] == [0xff, 0xff, 0xff, 0xff, 10, 9, 8, 7, 24, 0, 0, 0])
        #expect(match.selector[32..<44] == [0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 28, 0, 0, 0])
    }
}
