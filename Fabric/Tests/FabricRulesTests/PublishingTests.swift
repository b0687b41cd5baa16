import AgentProtocol
import ChildPrograms
import FabricProtocol
import FabricTestSupport
import Foundation
import Testing

@testable import FabricRules

private let isRoot = geteuid() == 0
private let hasTools = Programs.run([
    "/usr/bin/env", "sh", "-c", "command -v nft && command -v curl && command -v busybox && python3 -c pass",
]).hasSucceeded

@Suite struct PublishingTests {
    private func port(_ number: UInt16, _ published: PublishedPort?...) -> FabricPort {
        FabricPort(
            number: number, network: "a", hardwareAddress: [2, 0, 0, 0, 0, 1],
            addresses: [IPAddress("fd00::5"), IPAddress(v4: 10, 190, 1, UInt8(number))].compactMap { $0 },
            published: published.compactMap { $0 })
    }

    @Test func `each port of the computer has one of its own on the link`() {
        let first = IPAddress(v4: 192, 0, 2, 1)
        let ports = [
            port(2, PublishedPort(.tcp, 1...1000, to: 1), PublishedPort(.udp, 1...1000, to: 1)),
            port(3, PublishedPort(.tcp, on: first, 2000...2999, to: 2000)),
            port(4, PublishedPort(.tcp, on: IPAddress(v4: 192, 0, 2, 2), 2000...2999, to: 2000)),
        ]
        let ways = PublishingRules.ways(of: ports)
        // Those without an address are of both families.
        #expect(ways.count == 6000)
        #expect(Set(ways.map { "\($0.machine.family)\($0.transport)\($0.carrier)" }).count == 6000)
        #expect(ways.filter { $0.address == nil }.allSatisfy { $0.carrier == $0.port })
        #expect(ways.filter { $0.machine.family == .v6 }.count == 2000)
        // Who is published on an address alone stays where it is, whoever goes.
        let alone = PublishingRules.ways(of: [ports[2]]).map(\.carrier)
        let beside = PublishingRules.ways(of: [ports[0], ports[2]]).filter { $0.address != nil }.map(\.carrier)
        #expect(alone == beside)
    }

    @Test func `without published ports there are no rules for them`() {
        #expect(
            PublishingRules.inside([port(2)])
                == ["ip", "ip6"].map { "add table \($0) swiftlet\ndelete table \($0) swiftlet\n" }.joined())
        let outside = PublishingRules.outside(
            [port(2)], PublishingRules.Edge(device: "up", inner: [IPAddress(v4: 10, 0, 0, 2)], forwardsIPv6: true))
        #expect(!outside.contains("fib"))
    }

    @Test(
        .enabled(if: isRoot && hasTools, "namespaces take root, and the test nft, busybox, python3 and curl"),
        .timeLimit(.minutes(5)), arguments: ["published.sh", "published-ipv6.sh"])
    func `published ports are reached from where they should be, and from nowhere else`(script: String) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "fabric-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: script).path
        // Tests are beside the programs of the package.
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let fabric = URL(filePath: program).deletingLastPathComponent().appending(path: "swiftlet-fabric").path
        let outcome = Programs.run([
            "/usr/bin/unshare", "-n", "-m", ByteString(script), ByteString(fabric), ByteString(folder.path),
        ])
        #expect(outcome.hasSucceeded, "\(outcome.output)\(outcome.complaint)")
    }
}
