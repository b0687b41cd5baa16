import AgentProtocol
import LinuxCalls
import Testing

@testable import Wiring

/// Each in a process of its own, so that nothing of the machine's network is touched.
@Suite(.enabled(if: mayMakeNamespaces, "\(namespacesTakeRoot)"))
struct WiresTests {
    @Test func `frames go over a wire, are counted, and copied to whoever shall see them`() async {
        await #expect(processExitsWith: .success) {
            let fabric = try TestNamespace()
            var links = try Links()
            try links.set(try links.makeBridge("br0"), isUp: true)
            let first = try TestMachine(1, in: fabric)
            let second = try TestMachine(2, in: fabric)
            let sender = try first.namespace.within { try TestSocket(port: 5000) }
            let receiver = try second.namespace.within { try TestSocket(port: 5000) }
            try sender.reach(receiver, at: [10, 9, 0, 2], port: 5000)
            #expect(sender.send([1, 2, 3], to: [10, 9, 0, 2], port: 5000))
            #expect(receiver.receive() == [1, 2, 3])

            var wires = try Wires()
            let links4 = [first.tap, first.port, second.tap, second.port]
            var connections = try wires.connections(of: links4)
            #expect(
                connections.map(\.wire) == [
                    Wire(from: first.tap, to: first.port), Wire(from: first.port, to: first.tap),
                    Wire(from: second.tap, to: second.port), Wire(from: second.port, to: second.tap),
                ])
            // The question for the address, and the datagram: 28 and 31 bytes behind their Ethernet headers.
            #expect(connections[0].counters.frames >= 2 && connections[0].counters.bytes >= 59)
            #expect(connections[0].counters.drops == 0)

            // A mirror, and a second one.
            let copies = [try links.makePair("m1", peer: "n1"), try links.makePair("m2", peer: "n2")]
            for name in ["m1", "n1", "m2", "n2"] as [ByteString] {
                let index = try #require(try links.find(name)).index
                try wires.prepare(index)
                try links.set(index, isUp: true)
            }
            try awaitCarrier(of: ["m1", "m2"])
            try wires.connect([Wire(from: first.tap, to: first.port, copies: copies)])
            connections = try wires.connections(of: [first.tap])
            #expect(connections.map(\.wire) == [Wire(from: first.tap, to: first.port, copies: copies)])
            let before = [try received("n1"), try received("n2")]
            for _ in 0..<10 { sender.send([4], to: [10, 9, 0, 2], port: 5000) }
            for _ in 0..<10 { #expect(receiver.receive() == [4]) }
            // A machine may ask for the other's address meanwhile.
            #expect(try (10...14).contains(received("n1") - before[0]))
            #expect(try (10...14).contains(received("n2") - before[1]))
            connections = try wires.connections(of: [first.tap])
            #expect((10...14).contains(connections.first?.counters.frames ?? 0))
        }
    }

    @Test func `links that are prepared say nothing by themselves`() async {
        await #expect(processExitsWith: .success) {
            let fabric = try TestNamespace()
            let others = try TestNamespace()
            try silenceIPv6()
            try fabric.enter()
            var links = try Links()
            var wires = try Wires()
            var indices: [UInt32] = []
            for (name, peer) in [("a", "c"), ("b", "d")] as [(ByteString, ByteString)] {
                let index = try links.makePair(name, peer: peer, peerNamespace: others.descriptor.number)
                try wires.prepare(index)
                try wires.prepare(index)
                indices.append(index)
                try others.within {
                    var links = try Links()
                    try links.set(try links.find(peer)?.index ?? 0, isUp: true)
                }
            }
            try wires.connect([Wire(from: indices[0], to: indices[1]), Wire(from: indices[1], to: indices[0])])
            // A link of its own mind makes itself an address at once, and asks for routers after a second.
            pause(milliseconds: 1200)
            for index in indices { #expect(try links.addresses(of: index).isEmpty) }
            try awaitCarrier(of: ["a", "b"])
            #expect(try sent("a") == 0 && sent("b") == 0)
        }
    }

    @Test func `links that are disconnected hear nothing`() async {
        await #expect(processExitsWith: .success) {
            let fabric = try TestNamespace()
            var links = try Links()
            let bridge = try links.makeBridge("br0")
            try links.set(bridge, isUp: true)
            let machine = try TestMachine(1, in: fabric)
            var wires = try Wires()
            try wires.disconnect([machine.tap, machine.port])
            try wires.disconnect([machine.tap, machine.port])
            #expect(try wires.connections(of: [machine.tap, machine.port]).isEmpty)
            #expect(try links.find("t1")?.isUp == false)
            // Were it up, the fabric's own stack would answer: the address is one of the namespace.
            try links.add(Interface.Address(IPAddress(v4: 10, 9, 0, 99), prefixLength: 16), to: bridge)
            let answering = try TestSocket(port: 6000)
            let socket = try machine.namespace.within { try TestSocket(port: 6000) }
            socket.send([1], to: [10, 9, 0, 99], port: 6000)
            pause(milliseconds: 50)
            #expect(answering.receive(waits: false) == nil)
            try wires.connect([
                Wire(from: machine.tap, to: machine.port), Wire(from: machine.port, to: machine.tap),
            ])
            try socket.reach(answering, at: [10, 9, 0, 99], port: 6000)
        }
    }

    @Test func `a wire to nowhere is told with its place, and the others are connected`() async {
        await #expect(processExitsWith: .success) {
            _ = try TestNamespace()
            var links = try Links()
            let first = try links.makePair("a", peer: "b")
            let second = try #require(try links.find("b")).index
            var wires = try Wires()
            #expect(throws: WireFailure(index: 0, cause: .invalidArgument)) {
                try wires.connect([Wire(from: first, to: second)])
            }
            try wires.prepare(first)
            try wires.prepare(second)
            #expect(throws: WireFailure(index: 1, cause: .noDevice)) {
                try wires.connect([
                    Wire(from: first, to: second), Wire(from: second, to: 4711), Wire(from: second, to: first),
                ])
            }
            let connections = try wires.connections(of: [4712, first, second])
            #expect(connections.map(\.wire) == [Wire(from: first, to: second), Wire(from: second, to: first)])
            // As many as there may be, one right after the other.
            let many = [Wire](repeating: Wire(from: first, to: second), count: 128)
            try wires.connect(many)
            #expect(throws: WireFailure(index: 0, cause: .tooLong)) { try wires.connect(many + [many[0]]) }
        }
    }
}
