import MetadataService
import WireFormats

/// A guest that sends the metadata service whatever it likes: broken frames, segments in any order with any numbers, and
/// requests. Whatever it does, memory stays bounded, frames are whole, and time goes on.
///
/// Each step is a byte that says what is done, and the bytes that it takes.
public func fuzzMetadata(_ input: [UInt8]) {
    var rest = input[...]
    func next() -> UInt8 { rest.popFirst() ?? 0 }
    func number() -> UInt32 { UInt32(next()) << 8 | UInt32(next()) }
    let store = MetadataStore(limitBytes: 2048)
    _ = store.set(
        .object([JSONMember("a", .object([JSONMember("b", .string("c"))])), JSONMember("l", .array([.integer(1)]))]))
    var station = MetadataStation(store, isTokenRequired: next() & 1 != 0)
    var clients = (0..<20).map { MetadataClient(port: UInt16(1000 + $0)) }
    while !rest.isEmpty {
        let step = next()
        let index = Int(next()) % clients.count
        switch step % 8 {
        case 0: _ = clients[index].connect(station, maximumBytes: UInt16(number()))
        case 1:
            clients[index].say(station, Array("GET /".utf8) + Array(rest.prefix(Int(next()))) + Array("\r\n\r\n".utf8))
        case 2:
            let count = Int(next())
            clients[index].say(station, Array(rest.prefix(count)), flags: next())
            rest = rest.dropFirst(count)
        case 3:
            let client = clients[index]
            station.give(
                MetadataStation.frame(
                    from: client.port, to: next() & 1 == 0 ? 80 : 81, sequence: client.sequence &+ number() &- 32_768,
                    acknowledgement: client.expected &+ number() &- 32_768, flags: next(), window: UInt16(number()),
                    options: Array(rest.prefix(Int(next() % 11) * 4)), data: Array(rest.prefix(Int(next())))),
                hasChecksum: next() & 1 == 0)
        case 4:
            // A good frame with a few bytes changed, or cut.
            var frame = MetadataStation.frame(from: 1000, sequence: number(), flags: next(), data: [1, 2, 3])
            for _ in 0..<Int(next() % 4) { frame[14 + Int(next()) % (frame.count - 14)] = next() }
            station.give(Array(frame.prefix(34 + Int(next()))), hasChecksum: next() & 1 == 0)
        case 5: station.give(MetadataStation.question())
        case 6: station.now += UInt64(number()) * 1_000_000
        default:
            var frames = 0
            while let frame = station.take() {
                precondition(frame.count <= 1514, "a frame fits the network")
                let segment = MetadataStation.segment(frame)
                precondition(segment != nil || frame[13] == 6, "a frame is whole")
                if let segment, segment.port >= 1000, segment.port < 1020 {
                    clients[Int(segment.port) - 1000].expected = segment.sequence &+ UInt32(segment.data.count)
                }
                frames += 1
                precondition(frames < 1000, "it comes to an end")
            }
        }
        precondition(station.endpoint.keptBytes <= 256 << 10, "memory is bounded")
    }
}
