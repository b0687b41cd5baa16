import AgentProtocol
import FabricProtocol
import Testing

@testable import FabricEngine

/// Who has the address of a machine that is gone.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct AnnouncementTests {
    @Test func `neighbours of a machine that is gone know at once who has its addresses now`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (engine, _) = try computer.engine()
                defer { engine.nameServers.endAll() }
                let lan = network("lan", 1, "10.9.1.0/24") {
                    $0.prefixes += [NetworkPrefix("fd00:9:1::/64")].compactMap { $0 }
                }
                func machine(_ number: UInt16, _ host: Int) -> FabricPort {
                    var port = port(number, "lan", "10.9.1.\(host)")
                    port.addresses += [IPAddress("fd00:9:1::\(host)")].compactMap { $0 }
                    return port
                }
                let (client, _) = (
                    try Place(1, "10.9.1.2", "fd00:9:1::2"), try Place(2, "10.9.1.3", "fd00:9:1::3")
                )
                try engine.put(change([lan], [machine(1, 2), machine(2, 3)]))
                func known(_ address: String) throws -> String { try client.shell("ip neigh show to \(address)") }
                for address in ["10.9.1.3", "fd00:9:1::3"] {
                    try client.shell("ping -qc 1 -W 5 \(address)")
                    #expect(try known(address).contains("02:00:00:00:00:02"))
                }
                try engine.put(change([], [machine(3, 3), machine(4, 4)], without: [2]))
                for address in ["10.9.1.3", "fd00:9:1::3"] {
                    try soon {
                        _ = engine.announceAgain()
                        return try known(address).contains("02:00:00:00:00:03")
                    }
                }
                // It is said twice.
                try soon { engine.announceAgain() == nil }
                // The same machine once more says nothing.
                try engine.put(change([], [], without: [3]))
                try engine.put(change([], [machine(3, 3)]))
                #expect(engine.formerStations.taken(by: machine(5, 3)).isEmpty)
            })
    }

    @Test func `what is announced is what a machine may say`() throws {
        let station: [UInt8] = [2, 0, 0, 0, 0, 7]
        let arp = Announcement.frame(try #require(IPAddress("10.9.1.3")), of: station)
        #expect(arp.count == 42 && Array(arp[22..<28]) == station && Array(arp[28..<32]) == [10, 9, 1, 3])
        let advertisement = Announcement.frame(try #require(IPAddress("fd00::3")), of: station)
        #expect(advertisement.count == 86 && Array(advertisement.suffix(6)) == station)
        // Together with its pseudo-header a message sums up to nothing. Source: RFC 4443 §2.3.
        let message = Array(advertisement[54...])
        #expect(InternetChecksum.of(Array(advertisement[22..<54]) + [0, 0, 0, 32, 0, 0, 0, 58] + message) == 0)
    }
}
