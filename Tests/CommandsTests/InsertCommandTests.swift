import Testing

@testable import Commands

@Suite struct InsertCommandTests {
    @Test func `an appliance is put before something, or between two networks, as a bridge or as a router`() throws {
        let before = try InsertCommand.parse(["ips", "before", "web:eth1"])
        #expect(before.place == .before && before.target == "web:eth1" && !before.routing)
        let between = try InsertCommand.parse(["--routing", "--fail", "closed", "wall", "between", "lan", "and", "dmz"])
        #expect(between.routing && between.fail == .closed)
        #expect(between.target == "lan" && between.other == ["and", "dmz"])
        #expect(try InsertCommand.parse(["wall", "between", "lan", "dmz", "--routing"]).routing)
    }

    @Test(arguments: [
        ["wall", "between", "lan"], ["wall", "between", "lan", "and"], ["wall", "between", "lan", "and", "dmz", "wan"],
        ["wall", "before", "web", "db"], ["wall", "beside", "web"], ["--routing=yes", "wall", "between", "lan", "dmz"],
        ["--routing", "wall"], ["--no-routing", "wall", "between", "lan", "dmz"],
    ])
    func `what says neither is refused`(arguments: [String]) {
        #expect(throws: (any Error).self) { try InsertCommand.parse(arguments) }
    }

    @Test func `the help says what a router needs`() {
        let help = InsertCommand.helpMessage()
        for word in ["--routing", "169.254.83.1", "169.254.84.1", "fe80::1", "169.254.83.2", "169.254.84.2", "21335"] {
            #expect(help.contains(word), "\(word)")
        }
    }
}
