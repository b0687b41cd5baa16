import Testing

@testable import ApplianceSettings

@Suite struct FieldPatternTests {
    @Test(arguments: [
        ("", [""], ["a"]),
        ("abc", ["abc"], ["", "ab", "abcd", "xabc"]),
        ("a|bc|", ["a", "bc", ""], ["abc", "b"]),
        ("[a-c]+", ["a", "cab"], ["", "d"]),
        ("[^a-c]*", ["", "xyz"], ["xay"]),
        ("(ab)*c?", ["", "c", "abab", "ababc"], ["aba", "cc"]),
        ("a{2}", ["aa"], ["a", "aaa"]),
        ("a{2,}", ["aa", "aaaa"], ["a"]),
        ("a{1,3}b{0,1}", ["a", "aaab"], ["aaaa", "abb", "b"]),
        (#"\d{1,3}(\.\d{1,3}){3}"#, ["10.0.0.1"], ["10.0.0", "10.0.0.1."]),
        (#"[\w\-]+"#, ["a-b_C9"], ["a b"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("..", ["é😀"], ["a"]),
        ("(a*)*", ["", "aaa"], ["b"]),
    ])
    func `patterns match whole texts`(pattern: String, matching: [String], other: [String]) throws {
        let pattern = try FieldPattern(pattern)
        for text in matching { #expect(pattern.matches(text), "\(pattern) \(text)") }
        for text in other { #expect(!pattern.matches(text), "\(pattern) \(text)") }
    }

    @Test(arguments: [
        "(", ")", "[", "[]", "[b-a]", "*", "a**{", "a{", "a{2,1}", "a{101}", "\\", #"\q"#, "^a", "a$",
        "((((((((((((((((((((((a",
    ])
    func `what is no pattern is refused`(pattern: String) {
        #expect(throws: Refusal.self) { _ = try FieldPattern(pattern) }
    }

    @Test func `no pattern takes more time than its length and the text's`() throws {
        // Exponential for those who try one way after the other.
        let pattern = try FieldPattern(String(repeating: "a?", count: 100) + String(repeating: "a", count: 100))
        #expect(pattern.matches(String(repeating: "a", count: 100)))
        let nested = try FieldPattern("(a*)*b")
        #expect(!nested.matches(String(repeating: "a", count: 5000)))
        #expect(throws: Refusal.self) { _ = try FieldPattern("((((a{100}){100}){100}){100}){100}") }
    }
}
