import AgentProtocol
import Testing

@testable import Agent

@Suite struct AccountsTests {
    private let accounts = Accounts(
        passwd: Array(
            "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34::/var/www:/bin/sh\nhuge:x:99999999999:1::/:\n".utf8),
        group: Array("root:x:0:\nwww:x:34:\nmedia:x:50:web,other\naudio:x:51:other,web\nbad:x:x:web\n".utf8))

    @Test func namesAndNumbersAreResolvedAsContainerEnginesDo() throws {
        #expect(
            try accounts.account("", extra: [])
                == Account(userID: 0, groupID: 0, supplementaryGroupIDs: [], home: "/root"))
        let web = Account(userID: 33, groupID: 34, supplementaryGroupIDs: [50, 51], home: "/var/www")
        #expect(try accounts.account("web", extra: []) == web)
        #expect(try accounts.account("33", extra: []) == web)
        #expect(
            try accounts.account("web:media", extra: ["audio", "77"])
                == Account(userID: 33, groupID: 50, supplementaryGroupIDs: [51, 77], home: "/var/www"))
        #expect(
            try accounts.account("4000", extra: [])
                == Account(userID: 4000, groupID: 0, supplementaryGroupIDs: [], home: "/"))
    }

    @Test(arguments: ["nobody", "web:nogroup", "a:b:c", "huge", "4294967295", "-1"] as [ByteString])
    func whatIsNotThereIsRefused(user: ByteString) {
        #expect(throws: Failure.self) { try accounts.account(user, extra: []) }
    }
}
