import Testing
import WireFormats

@Suite struct JSONParserTests {
    private func parse(_ text: String) throws(JSONError) -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

    private func reason(_ text: String) -> JSONError.Reason? {
        do throws(JSONError) {
            _ = try parse(text)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func `each kind of value is read`() throws {
        let value = try parse(#" {"a": [1, -2, 1.5e3, true, false, null, "x"], "b": {}} "#)
        #expect(
            value
                == .object([
                    JSONMember(
                        "a",
                        .array([
                            .integer(1), .integer(-2), .number("1.5e3"), .boolean(true), .boolean(false), .null,
                            .string("x"),
                        ])), JSONMember("b", .object([])),
                ]))
    }

    @Test func `escapes become their characters`() throws {
        #expect(try parse(#""\u00e9\ud83d\ude00\n\"""#) == .string("é😀\n\""))
        #expect(reason(#""\ud83d""#) == .invalidText)
        #expect(reason(#""\x""#) == .invalidText)
    }

    @Test func `bytes that are no UTF-8 are refused`() {
        #expect(throws: JSONError.self) { try JSONParser.parse([0x22, 0xff, 0x22]) }
    }

    @Test func `errors say the place`() {
        #expect(throws: JSONError(reason: .unexpectedCharacter, line: 2, column: 3)) { try parse("[\n1,,2]") }
    }

    @Test(arguments: ["", "{", "[1", #"{"a""#, #"{"a":"#, #""abc"#, "tru", "-"])
    func `a text that ends too early is refused`(_ text: String) { #expect(reason(text) == .unexpectedEnd) }

    @Test(arguments: ["01", "+1", "1.", "[1 2]", "{a:1}", "nul1", "'a'"])
    func `what only looks like JSON is refused`(_ text: String) { #expect(reason(text) != nil) }

    @Test func `a name may stand only once`() { #expect(reason(#"{"a":1,"a":2}"#) == .repeatedName("a")) }

    @Test func `depth, length and members are bounded`() {
        #expect(reason(String(repeating: "[", count: 40)) == .nestedTooDeeply)
        #expect(reason(String(repeating: " ", count: JSONParser.maximumBytes + 1)) == .tooLong(maximumBytes: 1 << 20))
        let members = (0...JSONParser.maximumMembers).map { "\"\($0)\":0" }.joined(separator: ",")
        #expect(reason("{\(members)}") == .tooManyMembers)
    }

    @Test func `no prefix and no mutation of a document traps`() {
        let document = Array(#"{"boot-source":{"kernel_image_path":"/k\u0041"},"n":[-1.5e-7,true,null]}"#.utf8)
        for length in 0..<document.count { _ = try? JSONParser.parse(Array(document[..<length])) }
        for index in document.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = document
                changed[index] = byte
                _ = try? JSONParser.parse(changed)
            }
        }
    }
}
