import AgentProtocol
import ChildPrograms
import FabricProtocol
import LinuxCalls
import Testing

@testable import FabricEngine
@testable import FabricRules

/// Names beyond a machine's first network.
@Suite(.enabled(if: mayRunEngines, Comment(rawValue: enginesTakeRoot)), .serialized)
struct NameViewTests {
    private static let front = network("front", 1, "10.9.0.0/24")
    private static let back = network("back", 2, "10.8.0.0/24")

    private static func machine(
        _ number: UInt16, _ network: String, _ address: String, _ names: [String], of networks: [String] = []
    ) -> FabricPort {
        var machine = port(number, network, address)
        machine.names = names
        machine.nameNetworks = networks
        return machine
    }

    /// In both networks.
    private static func both(_ networks: [String] = ["front", "back"]) -> [FabricPort] {
        [
            machine(1, "front", "10.9.0.2", ["both"], of: networks),
            machine(2, "back", "10.8.0.2", ["both"], of: networks),
        ]
    }

    private static let others = [
        machine(3, "front", "10.9.0.3", ["web"]), machine(4, "back", "10.8.0.3", ["web", "shop"]),
        machine(5, "front", "10.9.0.5", ["neighbour"]),
    ]

    /// - Parameters:
    ///   - network: the number of the one that the port is in.
    ///   - port: that it asks from; another one each time if not given.
    static func lookup(
        _ number: UInt16, _ address: String, _ network: Int, _ name: String, server: String? = nil, port: Int = 0
    ) throws -> String {
        try guest(
            "lookup", "t\(number)", "02:00:00:00:00:0\(number)", address, "02:53:77:00:00:0\(network)",
            server ?? "10.\(10 - network).0.1", name, port == 0 ? "" : "\(port)")
    }

    private static func end(_ engine: Engine) {
        engine.nameServers.endAll()
        engine.viewServers.endAll()
    }

    private static func process(_ folder: NameFolder) -> Int32? { NameServers.process(folder) }

    @Test func `a machine finds the names of all of its networks, and its neighbours those of theirs`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (engine, _) = try computer.engine()
                defer { Self.end(engine) }
                try engine.apply(change([Self.front, Self.back], Self.both() + Self.others))
                // A name by itself means a machine in the first network that has one.
                #expect(try Self.lookup(1, "10.9.0.2", 1, "web", port: 5555) == "10.9.0.3")
                #expect(try Self.lookup(1, "10.9.0.2", 1, "shop") == "10.8.0.3")
                #expect(try Self.lookup(1, "10.9.0.2", 1, "web.back.internal", port: 5555) == "10.8.0.3")
                #expect(try Self.lookup(1, "10.9.0.2", 1, "10.8.0.3") == "web.back.internal")
                #expect(try Self.lookup(1, "10.9.0.2", 1, "10.9.0.5") == "neighbour.front.internal")
                // Whichever of the gateways it asks.
                #expect(try Self.lookup(2, "10.8.0.2", 2, "web") == "10.9.0.3")
                #expect(try Self.lookup(2, "10.8.0.2", 2, "both") == "10.9.0.2")
                #expect(try Self.lookup(2, "10.8.0.2", 2, "neighbour.front.internal") == "10.9.0.5")
                #expect(try Self.lookup(2, "10.8.0.2", 2, "nobody") == "none")
                // A neighbour does not, whatever it asks.
                for name in ["shop", "web.back.internal", "shop.front.internal"] {
                    #expect(try Self.lookup(5, "10.9.0.5", 1, name) == "none")
                }
                let server = try #require(engine.nameViews.servers.values.first)
                #expect(try Self.lookup(5, "10.9.0.5", 1, "shop", server: "10.9.0.1:\(server)") == "no answer")
                #expect(try Self.lookup(4, "10.8.0.3", 2, "neighbour") == "none")

                // What changes counts at once, and nobody's answers are begun anew for it.
                let processes = [1, 2].map { Self.process(computer.folder.names($0)) }
                let own = Self.process(computer.folder.viewNames(server))
                try engine.apply(change([], [Self.machine(6, "back", "10.8.0.6", ["late"])]))
                #expect(try Self.lookup(1, "10.9.0.2", 1, "late") == "10.8.0.6")
                try engine.apply(change(without: [3, 6]))
                #expect(try Self.lookup(1, "10.9.0.2", 1, "late") == "none")
                #expect(try Self.lookup(1, "10.9.0.2", 1, "web") == "10.8.0.3")
                #expect(own != nil && Self.process(computer.folder.viewNames(server)) == own)

                // Out of the second one: a socket that was answered before is told no more of it.
                try engine.apply(change([], [Self.machine(1, "front", "10.9.0.2", ["both"])], without: [2]))
                #expect(try Self.lookup(1, "10.9.0.2", 1, "web.back.internal", port: 5555) == "none")
                #expect(engine.nameViews.servers.isEmpty && computer.folder.servedViews.isEmpty)
                // And in again.
                try engine.apply(change([], Self.both()))
                #expect(try Self.lookup(1, "10.9.0.2", 1, "shop", port: 5555) == "10.8.0.3")
                #expect([1, 2].map { Self.process(computer.folder.names($0)) } == processes)
            })
    }

    @Test func `a network finds the full names of what it reaches`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (engine, _) = try computer.engine()
                defer { Self.end(engine) }
                let reaching = network("front", 1, "10.9.0.0/24") { $0.reachableNetworks = ["dmz"] }
                let dmz = network("dmz", 3, "10.7.0.0/24")
                let shop = Self.machine(7, "dmz", "10.7.0.3", ["shop"])
                try engine.apply(change([reaching, Self.back, dmz], Self.both() + Self.others + [shop]))
                let process = Self.process(computer.folder.names(1))
                for (number, address) in [(UInt16(5), "10.9.0.5"), (1, "10.9.0.2")] {
                    #expect(try Self.lookup(number, address, 1, "shop.dmz.internal") == "10.7.0.3")
                    #expect(try Self.lookup(number, address, 1, "10.7.0.3") == "shop.dmz.internal")
                }
                // By itself a name means nobody there.
                #expect(try Self.lookup(5, "10.9.0.5", 1, "shop") == "none")
                #expect(try Self.lookup(5, "10.9.0.5", 1, "shop.front.internal") == "none")
                // Not the other way, and not for who does not reach it.
                #expect(try Self.lookup(7, "10.7.0.3", 3, "web.front.internal") == "none")
                #expect(try Self.lookup(4, "10.8.0.3", 2, "shop.dmz.internal") == "none")

                try engine.apply(change([], [Self.machine(8, "dmz", "10.7.0.8", ["late"])], without: [7]))
                for (number, address) in [(UInt16(5), "10.9.0.5"), (1, "10.9.0.2")] {
                    #expect(try Self.lookup(number, address, 1, "late.dmz.internal") == "10.7.0.8")
                    #expect(try Self.lookup(number, address, 1, "shop.dmz.internal") == "none")
                }
                try engine.apply(change([Self.front]))
                #expect(try Self.lookup(5, "10.9.0.5", 1, "late.dmz.internal") == "none")
                #expect(try Self.lookup(1, "10.9.0.2", 1, "late.dmz.internal") == "none")
                #expect(try Self.lookup(5, "10.9.0.5", 1, "web") == "10.9.0.3")
                try engine.apply(change([reaching]))
                #expect(try Self.lookup(5, "10.9.0.5", 1, "late.dmz.internal") == "10.7.0.8")
                #expect(process != nil && Self.process(computer.folder.names(1)) == process)
            })
    }

    @Test func `an engine that begins anew serves the same names, and ends what one before has left`() async {
        show(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                let computer = try TestComputer()
                let (first, _) = try computer.engine()
                // Two machines that are in the networks in another order each; the one that came first goes.
                let other = [
                    Self.machine(7, "front", "10.9.0.7", ["other"], of: ["back", "front"]),
                    Self.machine(8, "back", "10.8.0.8", ["other"], of: ["back", "front"]),
                ]
                try first.apply(change([Self.front, Self.back], Self.both() + Self.others))
                try first.apply(change([], other))
                #expect(try Self.lookup(7, "10.9.0.7", 1, "web") == "10.8.0.3")
                try first.apply(change(without: [1, 2]))
                let left = first.nameViews.servers.values.compactMap { Self.process(computer.folder.viewNames($0)) }
                #expect(left.count == 1)
                // As after a kill: nobody has ended anything.
                let second = try Engine(computer.folder)
                defer { Self.end(second) }
                try second.resume()
                #expect(try Self.lookup(7, "10.9.0.7", 1, "web") == "10.8.0.3")
                #expect(computer.folder.servedViews == Array(second.nameViews.servers.values))
                for process in left { _ = try? Children.wait(for: process) }
                // One that somebody else ends is begun anew; sooner than it has begun would be in vain.
                sleep(nanoseconds: 1_100_000_000)
                let server = try #require(second.nameViews.servers.values.first)
                let process = try #require(Self.process(computer.folder.viewNames(server)))
                try Children.signal(process, SignalNumber.kill)
                _ = try Children.wait(for: process)
                second.programEnded(process)
                #expect(try Self.lookup(7, "10.9.0.7", 1, "web") == "10.8.0.3")
                // A bridge that is made anew is listened at, and rules that others have changed are put right.
                try run("/usr/sbin/ip", "link", "delete", "n2")
                try run("/usr/sbin/nft", "delete", "table", "inet", "swiftlet-names")
                // Without them nobody is told more.
                #expect(try Self.lookup(5, "10.9.0.5", 1, "shop", server: "10.9.0.1:\(server)") == "no answer")
                try second.apply(change([Self.front, Self.back], other + Self.others, isWhole: true))
                #expect(try Self.lookup(8, "10.8.0.8", 2, "neighbour") == "10.9.0.5")
                #expect(try Self.lookup(7, "10.9.0.7", 1, "web") == "10.8.0.3")
            })
    }
}
