import Fleet
import Testing

@testable import Commands

@Suite struct RestoreUnitTests {
    @Test func `a unit names this program and these folders, whatever is in their names`() throws {
        let paths = ProductPaths(data: "/srv/my data/100%", runtime: "/run/s", libexec: #"/opt/a"b\c"#)
        let unit = RestoreUnit(executable: "/opt/$x/swiftlet", paths: paths, isSystem: true)
        let lines = try unit.text.split(separator: "\n").map(String.init)
        #expect(lines.contains(#"Environment="SWIFTLET_HOME=/srv/my data/100%%""#))
        #expect(lines.contains(#"Environment="SWIFTLET_LIBEXEC=/opt/a\"b\\c""#))
        #expect(lines.contains(#"ExecStart="/opt/$$x/swiftlet" restore"#))
        #expect(lines.contains("WantedBy=multi-user.target"))
        #expect(throws: CommandFailure.self) { try RestoreUnit.quoted("a\nb") }
    }

    @Test func `the unit of a user is told how it outlives the user's session`() throws {
        let paths = ProductPaths(data: "/home/me/s", runtime: "/run/user/1", libexec: "/l")
        let text = try RestoreUnit(executable: "/bin/swiftlet", paths: paths, isSystem: false).text
        #expect(text.contains("loginctl enable-linger") && text.contains("WantedBy=default.target"))
    }
}
