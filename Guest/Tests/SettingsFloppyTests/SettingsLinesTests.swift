import Testing

@testable import SettingsFloppy

@Suite struct SettingsLinesTests {
    private func field(_ path: String, _ value: String, secret: Bool = false, isDefault: Bool = false)
        -> SettingsLines.Field
    {
        SettingsLines.Field(
            path: [UInt8](path.utf8), value: [UInt8](value.utf8), isSecret: secret, isDefault: isDefault)
    }

    @Test func `fields are lines, those set first`() throws {
        let fields = [
            field("host-name", "fw"), field("dns.servers.0", "1.1.1.1"), field("key", "a=b\\\nc", secret: true),
            field("mtu", "1500", isDefault: true), field("empty", "", isDefault: true),
        ]
        let lines = SettingsLines.encode(fields)
        #expect(
            String(decoding: lines, as: UTF8.self)
                == "host-name=fw\ndns.servers.0=1.1.1.1\n!key=a=b\\\\\\nc\n#defaults\nmtu=1500\nempty=\n")
        #expect(try SettingsLines.decode(lines) == fields)
    }

    @Test func `empty lines and comments are passed over`() throws {
        #expect(try SettingsLines.decode([UInt8]("# one\n\na=1\n#x=2\n".utf8)) == [field("a", "1")])
    }

    @Test(arguments: [
        "a", "a=1", "=1\n", "a b=1\n", "A=1\n", ".a=1\n", "a.=1\n", "a..b=1\n", "-a=1\n", "../a=1\n", "a/b=1\n",
        "a=\\x\n", "a=\\\n", "a=\0\n", "!=1\n", "a.b.c.d.e.f.g.h.i=1\n", "ä=1\n",
    ])
    func `other lines are refused with their number`(text: String) {
        #expect(throws: SettingsLines.Malformed(line: 2)) {
            _ = try SettingsLines.decode([UInt8](("x=1\n" + text).utf8))
        }
    }

    @Test func `there are no more fields than the limit`() throws {
        var text: [UInt8] = []
        for index in 0..<SettingsLines.maximumFields { text += [UInt8]("a\(index)=\n".utf8) }
        #expect(try SettingsLines.decode(text).count == SettingsLines.maximumFields)
        #expect(throws: SettingsLines.Malformed.self) { _ = try SettingsLines.decode(text + [UInt8]("b=\n".utf8)) }
    }
}
