import AgentProtocol
import Foundation
import LinuxCalls
import Netlink
import Testing

@testable import Wiring

private let nft = "/usr/sbin/nft"

/// Each in a process of its own, so that nothing of the machine's network is touched.
@Suite(.enabled(if: mayMakeNamespaces, "\(namespacesTakeRoot)"))
struct TrackedConnectionTests {
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: nft), "nft is not here"))
    func `a connection is told with its ends, its counts and its beginning`() async {
        await #expect(processExitsWith: .success) {
            let fabric = try TestNamespace()
            try silenceIPv6()
            let other = try TestNamespace()
            try fabric.enter()
            var links = try Links()
            let near = try links.makePair("u0", peer: "eth0", peerNamespace: other.descriptor.number)
            try links.set(near, isUp: true)
            try links.add(Interface.Address(IPAddress(v4: 10, 9, 0, 1), prefixLength: 24), to: near)
            try other.within {
                var links = try Links()
                let index = try links.find("eth0")?.index ?? 0
                try links.set(index, isUp: true)
                try links.add(Interface.Address(IPAddress(v4: 10, 9, 0, 2), prefixLength: 24), to: index)
            }
            // The kernel remembers where rules need it; a port is translated, as a published one is.
            let rules = Process()
            rules.executableURL = URL(filePath: nft)
            rules.arguments = [
                "table ip t { chain i { type filter hook input priority 0; ct state new accept; }; chain p { type nat hook prerouting priority -100; udp dport 7 redirect to :9; }; }"
            ]
            try rules.run()
            rules.waitUntilExit()
            for name in ["acct", "timestamp"] {
                let file = try LinuxCalls.open("/proc/sys/net/netfilter/nf_conntrack_\(name)", .writeOnly)
                try writeAll(file.number, "1")
            }
            let server = try TestSocket(port: 9)
            let client = try other.within { try TestSocket(port: 5000) }
            try awaitCarrier(of: ["u0"])
            try client.reach(server, at: [10, 9, 0, 1], port: 7)
            let connections = try TrackedConnection.all().filter { $0.transport == 17 }
            let found = try #require(connections.first { $0.question.source.port == 5000 })
            #expect(found.question.source.address == IPAddress(v4: 10, 9, 0, 2))
            #expect(found.question.destination == .init(address: IPAddress(v4: 10, 9, 0, 1), port: 7))
            #expect(found.answer.source == .init(address: IPAddress(v4: 10, 9, 0, 1), port: 9))
            #expect(found.answer.destination == found.question.source)
            #expect(!found.hasAnswered && found.state == nil && (found.secondsLeft ?? 0) > 0)
            // A byte each, behind 28 of headers.
            let counts = try #require(found.question.counts)
            #expect(counts.frames >= 1 && counts.bytes == counts.frames * 29)
            #expect(found.answer.counts?.frames == 0)
            #expect((found.beganNanoseconds ?? 0) > 1_700_000_000_000_000_000)
            // Another one stays.
            let stranger = try other.within { try TestSocket(port: 5001) }
            stranger.send([0], to: [10, 9, 0, 1], port: 7)
            try TrackedConnection.forget([found])
            let left = try TrackedConnection.all().filter { $0.transport == 17 }.map(\.question.source.port)
            #expect(left.contains(5001) && !left.contains(5000))
            // It is no more.
            try TrackedConnection.forget([found])
        }
    }

    @Test func `what is bent or cut is no connection, and no trap`() throws {
        var request = NetlinkRequest(0x0100)
        request.body.write(UInt32(2))
        for (number, addresses) in [(UInt16(1), [1, 2]), (2, [2, 1])] as [(UInt16, [UInt8])] {
            request.nested(number) { request in
                request.nested(1) { request in
                    request.attribute(1, [10, 0, 0, addresses[0]])
                    request.attribute(2, [10, 0, 0, addresses[1]])
                }
                request.nested(2) { request in
                    request.attribute(1, [6])
                    request.attribute(2, [0, 80])
                    request.attribute(3, [1, 0])
                }
            }
        }
        request.attribute(3, [0, 0, 0, 2])
        request.nested(4) { $0.nested(1) { $0.attribute(1, [3]) } }
        let body = request.body.bytes
        func read(_ body: [UInt8]) throws -> TrackedConnection? {
            var length = UInt32(16 + body.count)
            var datagram: [UInt8] = []
            for _ in 0..<4 {
                datagram.append(UInt8(truncatingIfNeeded: length))
                length >>= 8
            }
            datagram += [0, 1] + [UInt8](repeating: 0, count: 10) + body
            while datagram.count % 4 != 0 { datagram.append(0) }
            var messages = NetlinkMessages(datagram)
            return try messages.next().flatMap { try TrackedConnection($0) }
        }
        let whole = try #require(try read(body))
        #expect(whole.transport == 6 && whole.state == 3 && whole.hasAnswered)
        #expect(whole.answer.destination == .init(address: IPAddress(v4: 10, 0, 0, 1), port: 256))
        for count in 0..<body.count {
            _ = try? read(Array(body[..<count]))
            var bent = body
            bent[count] ^= 0xff
            _ = try? read(bent)
        }
    }
}
