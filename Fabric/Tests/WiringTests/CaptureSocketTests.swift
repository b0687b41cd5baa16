import LinuxCalls
import Testing

@testable import Wiring

/// Everything that is wanted, or nothing.
private func program(_ bytes: UInt32) -> [FilterInstruction] { [FilterInstruction(code: 0x06, 0, 0, bytes)] }

/// Each in a process of its own, so that nothing of the machine's network is touched.
@Suite(.enabled(if: mayMakeNamespaces, "\(namespacesTakeRoot)"))
struct CaptureSocketTests {
    @Test func `each frame is seen once at each place, in its direction`() async {
        await #expect(processExitsWith: .success) {
            let fabric = try TestNamespace()
            try silenceIPv6()
            var links = try Links()
            try links.set(try links.makeBridge("br0"), isUp: true)
            let (first, second) = (try TestMachine(1, in: fabric), try TestMachine(2, in: fabric))
            try fabric.enter()
            try awaitCarrier(of: ["t1", "p1", "t2", "p2"])
            let (sender, receiver) = (
                try first.namespace.within { try TestSocket(port: 9) },
                try second.namespace.within { try TestSocket(port: 9) }
            )
            try sender.reach(receiver, at: [10, 9, 0, 2], port: 9)
            let bridge = try #require(try links.find("br0")).index
            let places = [first.tap, first.port, bridge, second.port, second.tap]
            let sockets = try places.map { place in
                SocketBox(
                    try CaptureSocket(link: place, program: program(60), bufferBytes: 1 << 20, seesAll: place == bridge)
                )
            }
            for number in 0..<50 as Range<UInt8> {
                sender.send([number] + [UInt8](repeating: 7, count: 100), to: [10, 9, 0, 2], port: 9)
                #expect(receiver.receive() != nil)
            }
            var last: [UInt64] = []
            for (place, isSent) in [false, true, false, false, true].enumerated() {
                // ARP may come between.
                let frames = try take(sockets[place].socket).filter { $0.bytes.count == 60 && $0.bytes[23] == 17 }
                #expect(frames.count == 50, "at place \(place)")
                #expect(frames.allSatisfy { $0.length == 143 })
                let directions = frames.map(\.isSent)
                // At the second machine's port it is the bridge's side that sends.
                if place != 3 { #expect(directions == [Bool](repeating: isSent, count: 50), "at place \(place)") }
                let times = frames.map(\.nanoseconds)
                #expect(times == times.sorted() && (times.first ?? 0) > 1_700_000_000_000_000_000)
                if !last.isEmpty { #expect(zip(last, times).allSatisfy { $0 <= $1 }, "it goes on from place to place") }
                last = times
                let counts = sockets[place].socket.takeCounts()
                #expect(counts.frames >= 50 && counts.drops == 0)
            }
        }
    }

    @Test func `what there is no room for is counted, and what is not wanted is not`() async {
        await #expect(processExitsWith: .success) {
            let fabric = try TestNamespace()
            var links = try Links()
            let (near, far) = (try links.makePair("t1", peer: "x1"), try links.find("x1")?.index ?? 0)
            for link in [near, far] { try links.set(link, isUp: true) }
            try awaitCarrier(of: ["t1", "x1"])
            let small = try CaptureSocket(link: near, program: program(2048), bufferBytes: 4096, seesAll: false)
            let none = try CaptureSocket(link: near, program: program(0), bufferBytes: 4096, seesAll: false)
            let sending = try ProbeSocket(token: [UInt8](repeating: 0, count: ProbeSocket.tokenBytes))
            // A tag, which the kernel takes out of what arrives.
            var frame: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 0x88, 0xb6]
            frame += [UInt8](repeating: 9, count: 500)
            for _ in 0..<200 { try sending.send(frame, over: far) }
            let frames = try take(small).filter { $0.bytes.count > 400 }
            #expect(frames.allSatisfy { $0.bytes == frame && $0.length == frame.count && !$0.isSent })
            let counts = small.takeCounts()
            #expect(counts.drops > 0 && counts.frames >= 200)
            #expect(counts.frames - counts.drops >= UInt64(frames.count) && !frames.isEmpty)
            #expect(none.takeCounts().frames == 0)
            extendLifetime(fabric)
        }
    }
}

private func take(_ socket: borrowing CaptureSocket) throws -> [LinkFrame] {
    var room = [UInt8](repeating: 0, count: 2048)
    var frames: [LinkFrame] = []
    while let frame = try socket.receive(over: &room) { frames.append(frame) }
    return frames
}

private final class SocketBox {
    let socket: CaptureSocket
    init(_ socket: consuming CaptureSocket) { self.socket = socket }
}
