import AgentProtocol
import ChildPrograms
import FabricProtocol
import Foundation
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

/// What an ordinary user's machines may reach, and what that user sees of it.
@Suite(.enabled(if: mayRunUserEngines, Comment(rawValue: userEnginesTake)), .serialized)
struct UserSightTests {
    private static let gateway = "02:53:77:00:00:01"
    private static let own = ["t1", "02:00:00:00:00:01", "10.9.0.2", gateway]
    private static let log = "/run/other/egress.log"

    @Test func `a user's machine opens what its rules name, and who looks sees it`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let fabric = try UserFabric()
                defer { fabric.end() }
                try run(
                    "/bin/sh", "-ec",
                    """
                    for last in 53 6 7; do ip address add 198.18.0.$last/16 dev outside; done
                    dnsmasq --no-hosts --no-resolv --listen-address=198.18.0.53 --bind-interfaces --pid-file=/run/outside.pid \
                        --address=/allowed.test/198.18.0.6 --address=/other.test/198.18.0.7
                    """)
                defer { _ = succeeds("/bin/sh", "-c", "kill $(cat /run/outside.pid)") }
                let lan = network("lan", 1, "10.9.0.0/24") {
                    $0.nameServers = ["198.18.0.53"].compactMap { IPAddress($0) }
                }
                func set(_ rules: [String]) throws {
                    var machine = port(1, "lan", "10.9.0.2")
                    machine.egress = try EgressPolicy(rules.map { try EgressRule(parsing: $0) }, log: Self.log)
                    try fabric.set(change([lan], [machine, port(2, "lan", "10.9.0.3")]))
                }
                // Nobody listens there, so who is let out is refused by the computer outside, and not by the fabric.
                func knock(_ target: String, _ port: String) throws -> String {
                    try fabric.guest(["knock"] + Self.own + [target, port])
                }
                func lookup(_ name: String) throws -> String {
                    try fabric.guest(["lookup"] + Self.own + ["10.9.0.1", name])
                }
                try set(["allowed.test:443"])
                #expect(try knock("198.18.0.6", "443") == "refused")
                try #require(try lookup("allowed.test") == "198.18.0.6")
                #expect(try knock("198.18.0.6", "443") == "answered")
                #expect(try knock("198.18.0.6", "80") == "refused")
                #expect(try lookup("other.test") == "none")
                try set(["198.18.0.7:80/tcp"])
                #expect(try knock("198.18.0.7", "80") == "answered")
                #expect(try knock("198.18.0.6", "443") == "refused")
                let said = try run("/bin/cat", Self.log)
                #expect(said.contains(#""allowed":false,"name":"other.test"}"#))
                #expect(
                    said.contains(
                        #""allowed":true,"rule":"allowed.test:443","transport":"tcp","address":"198.18.0.6","port":443"#
                    ))
                #expect(
                    said.contains(#""allowed":false,"rule":null,"transport":"tcp","address":"198.18.0.6","port":80"#))
                #expect(try FileTree.facts(Array(Self.log.utf8)).userID == 54321)

                // Connections; a packet's way; what goes by at a place.
                #expect(try fabric.do("flows", fabric.folder.path).contains(#""from":"10.9.0.2","to":"10.9.0.1""#))
                func trace(_ target: String, _ port: UInt16, _ transport: TraceRequest.Transport = .tcp) throws
                    -> String
                {
                    let machine = FabricEngineTests.port(1, "lan", "10.9.0.2")
                    let request = TraceRequest(
                        port: 1, transport: transport, station: machine.hardwareAddress,
                        nextStation: [2, 0x53, 0x77, 0, 0, 1], source: machine.addresses[0],
                        destination: try #require(IPAddress(target)), destinationPort: port, milliseconds: 3000)
                    return try fabric.do(["trace", fabric.folder.path] + request.arguments)
                }
                let out = try trace("198.18.0.7", 80)
                #expect(out.contains(#""tells_rules":true"#) && out.contains(#""device":"up0""#))
                #expect(out.contains(#""seen":"reset""#) && out.contains("198.18.0.7:80/tcp"))
                let dropped = try trace("198.18.0.6", 443)
                #expect(dropped.contains(#""dropped":"question""#) && !dropped.contains(#""device":"up0""#))
                let request = CaptureRequest(
                    form: .text, snapshotBytes: 1514, mostFrames: 1, milliseconds: 60_000, filter: "tcp port 8765",
                    places: [CaptureRequest.Place(device: "p1", name: "m1", description: "", arrivesFromIt: true)])
                let capture = try fabric.start(
                    ["capture", fabric.folder.path] + request.arguments, to: "/run/captured")
                try soon { try run("/bin/cat", "/run/captured").contains("capturing at m1") }
                _ = try knock("198.18.0.7", "8765")
                _ = try Children.wait(for: capture)
                #expect(try run("/bin/cat", "/run/captured").contains("198.18.0.7:8765"))
            })
    }
}
