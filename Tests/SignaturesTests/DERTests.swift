import Testing

@testable import Signatures

@Suite struct DERTests {
    @Test func `signatures survive their way through DER, whatever their numbers`() {
        var generator = SystemRandomNumberGenerator()
        for zeros in 0..<32 {
            for _ in 0..<20 {
                var numbers = (0..<64).map { _ in UInt8.random(in: 0...255, using: &generator) }
                for index in 0..<zeros { numbers[index] = 0 }
                let der = DER.p256Signature(numbers: numbers)
                #expect(DER.p256Signature(der) == numbers, "\(numbers)")
                for length in der.indices { #expect(DER.p256Signature(Array(der[..<length])) == nil) }
                #expect(DER.p256Signature(der + [0]) == nil)
            }
        }
    }

    @Test(
        arguments: [
            [], [0x30], [0x30, 0x00], [0x31, 0x06, 2, 1, 1, 2, 1, 1], [0x30, 0x81, 0x06, 2, 1, 1, 2, 1, 1],
            [0x30, 0x06, 2, 1, 0x80, 2, 1, 1], [0x30, 0x07, 2, 2, 0, 1, 2, 1, 1], [0x30, 0x05, 2, 0, 2, 1, 1],
            [0x30, 0x06, 3, 1, 1, 2, 1, 1], [0x30, 0x06, 2, 4, 1, 2, 1, 1], [0x30, 0x03, 2, 1, 1],
        ] as [[UInt8]])
    func `what is no signature is refused`(der: [UInt8]) { #expect(DER.p256Signature(der) == nil) }

    @Test func `numbers of one byte are padded`() {
        let numbers = [UInt8](repeating: 0, count: 31) + [1] + [UInt8](repeating: 0, count: 31) + [2]
        #expect(DER.p256Signature([0x30, 0x06, 2, 1, 1, 2, 1, 2]) == numbers)
    }
}
