import Testing
import WireFormats

@testable import MetadataService

@Suite struct WrittenJSONTests {
    /// Values of every kind, nested, with every escape; the same each time.
    private static func value(_ state: inout UInt64, depth: Int) -> JSONValue {
        func random(_ count: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % count
        }
        let texts = ["", "a", "\"", "\\", "a\\\"", "\n\u{1}\u{1f}\u{8}", "ü,]}", "]", "{\"x\":1}", "1,2"]
        switch random(depth > 3 ? 5 : 8) {
        case 0: return .null
        case 1: return .boolean(random(2) == 0)
        case 2: return .integer(Int64(random(5000)) - 2500)
        case 3: return .number("1.5e3")
        case 4: return .string(texts[Int(random(10))])
        case 5, 6: return .array((0..<random(5)).map { _ in value(&state, depth: depth + 1) })
        default:
            return .object(
                (0..<random(5)).map { JSONMember(texts[Int(random(10))] + "\($0)", value(&state, depth: depth + 1)) })
        }
    }

    private func compare(_ value: JSONValue, _ text: WrittenJSON, _ start: Int) {
        var bytes: [UInt8] = []
        value.write(to: &bytes)
        #expect(Array(text.bytes[start..<text.end(of: start)]) == bytes)
        if case .string(let string) = value { #expect(text.text(start) == Array(string.utf8)) }
        if let members = value.members {
            let found = text.members(start)
            #expect(found.map { $0.name } == members.map { Array($0.name.utf8) })
            for (member, place) in zip(members, found) { compare(member.value, text, place.value) }
        }
        if let elements = value.elements {
            #expect(text.element(start, elements.count) == nil)
            for (index, element) in elements.enumerated() {
                guard let place = text.element(start, index) else {
                    Issue.record("no element \(index)")
                    continue
                }
                compare(element, text, place)
            }
        }
    }

    @Test func `what was written is found where it lies`() {
        var state: UInt64 = 7
        for _ in 0..<300 {
            let value = Self.value(&state, depth: 0)
            var bytes: [UInt8] = []
            value.write(to: &bytes)
            compare(value, WrittenJSON(bytes: bytes), 0)
            #expect(JSONParser.parseWritten(bytes) == value)
        }
    }

    @Test func `changes add up to objects longer than one request may have`() {
        let store = MetadataStore(limitBytes: 100_000)
        for part in 0..<3 {
            let members = (0..<500).map { JSONMember("n\(part * 500 + $0)", .integer(Int64($0))) }
            #expect(store.patch(.object(members)))
        }
        #expect(store.patch(.object([JSONMember("n3", .null)])))
        #expect(JSONParser.parseWritten(store.written).members?.count == 1499)
        #expect((try? store.text(at: Array("/n1499".utf8), isJSON: true)) == Array("499".utf8))
    }
}
