import Testing

@testable import Commands

@Suite struct ProvisioningTableTests {
    private func rows(_ text: String?, count: Int? = nil) throws -> [ProvisioningTable.Row] {
        try ProvisioningTable(text.map { Array($0.utf8) }, count: count, base: "fw").rows
    }

    @Test func `a line is a machine, and an empty cell sets nothing`() throws {
        let text = "\u{feff}name,mtu,note\r\noffice,1400,\"a \"\"b\"\", c\nd\"\n\n,,\"\"\n"
        let rows = try rows(text)
        #expect(
            rows == [
                .init(line: 2, name: "office", fields: [("mtu", "1400"), ("note", "a \"b\", c\nd")]),
                .init(line: 5, name: "fw-2", fields: [("note", "")]),
            ])
    }

    @Test func `without a table all have the defaults`() throws {
        #expect(try rows(nil, count: 3).map(\.name) == ["fw-1", "fw-2", "fw-3"])
    }

    @Test func `a table of millions of lines is refused at once`() {
        let table = "name\n" + (0..<200_000).map { "m\($0)" }.joined(separator: "\n")
        #expect {
            _ = try rows(table)
        } throws: {
            "\($0)".contains("200000 machines")
        }
    }

    @Test(arguments: [
        ("", "line 1"), ("a,a\n1,2", "line 1"), ("a,\n1,2", "line 1"), ("a,b\n1\n", "line 2"), ("name\nx\nx", "line 3"),
        ("a\n\"1", "line 2"), ("a\n1\"2", "line 2"), ("a\n\"1\"2", "line 2"), ("a\n", "line 2"),
    ])
    func `what is wrong is told with its line`(text: String, line: String) {
        #expect {
            _ = try rows(text)
        } throws: {
            ($0 as? CommandFailure)?.message.contains(line) == true
        }
    }

    @Test func `the table and the number must agree`() {
        #expect(throws: CommandFailure.self) { _ = try rows("a\n1\n2", count: 3) }
        #expect(throws: CommandFailure.self) { _ = try rows(nil, count: 0) }
        #expect(throws: CommandFailure.self) { _ = try rows(nil, count: 1001) }
    }
}
