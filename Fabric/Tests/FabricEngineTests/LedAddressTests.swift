import FabricProtocol
import LinuxCalls
import Testing

@testable import FabricEngine

@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct LedAddressTests {
    @Test func `the addresses of a network that a machine leads out of are, for others, those outside`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let (engine, wayOut) = try TestComputer().engine()
                defer { engine.nameServers.endAll() }
                try wayOut.namespace.outside { () throws(FabricFault) in
                    _ = succeeds("/usr/sbin/ip", "address", "add", "10.9.0.2", "dev", "lo")
                }
                let led = network("inside", 1, "10.9.0.0/24") {
                    $0.reachesOutside = false
                    $0.gateways = []
                }
                // Nobody is at port 1: who answers is outside.
                try engine.put(
                    change(
                        [led, network("lan", 2, "10.8.0.0/24")],
                        [port(1, "inside", "10.9.0.2"), port(2, "lan", "10.8.0.2")]))
                let knock = try guest(
                    "knock", "t2", "02:00:00:00:00:02", "10.8.0.2", "02:53:77:00:00:02", "10.9.0.2", "80")
                #expect(knock == "answered")
            })
    }
}
