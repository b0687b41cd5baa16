import FabricTestSupport

/// Frames of all kinds, the same for the same seed: whole ones, pieces, tagged ones, and such as are cut or bent.
struct Frames {
    private var generator: SeededGenerator
    private static let addresses: [[UInt8]] = [[10, 190, 0, 2], [10, 190, 0, 3], [10, 190, 1, 2], [192, 0, 2, 1]]
    private static let addresses6: [[UInt8]] = [1, 2].map { [0xfd, 0] + [UInt8](repeating: 0, count: 13) + [$0] }

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// - Parameter extensions: whether headers stand between those of IPv6 and of the transport.
    mutating func next(tags: Bool, extensions: Bool) -> [UInt8] {
        var frame: [UInt8] = [2, 0, 0, 0, 0, UInt8.random(in: 1...3, using: &generator)]
        frame += [2, 0, 0, 0, 0, UInt8.random(in: 1...3, using: &generator)]
        if tags, Bool.random(using: &generator) { frame += [0x81, 0, 0, 7] }
        switch UInt8.random(in: 0...9, using: &generator) {
        case 0:
            frame += [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1]
            frame += address() + bytes(6) + address()
        case 1: frame += [0x88, 0xb5] + bytes(50)
        case 2...6: frame += [0x08, 0x00] + version4()
        default: frame += [0x86, 0xdd] + version6(extensions)
        }
        if UInt8.random(in: 0...9, using: &generator) == 0 {
            frame.removeLast(Int.random(in: 0...frame.count, using: &generator))
        }
        return frame
    }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    private mutating func address() -> [UInt8] { Self.addresses.randomElement(using: &generator) ?? [] }
    private mutating func address6() -> [UInt8] { Self.addresses6.randomElement(using: &generator) ?? [] }
    private mutating func port() -> [UInt8] {
        [[0, 53], [0, 80], [1, 187], [0x1f, 0x90], [0x1f, 0x9a]].randomElement(using: &generator) ?? []
    }

    private mutating func version4() -> [UInt8] {
        let options = Int.random(in: 0...2, using: &generator) * 4
        let piece: [UInt8] = [[0, 0], [0x20, 0], [0, 5], [0x40, 0]].randomElement(using: &generator) ?? []
        let transport: UInt8 = [1, 6, 17, 132, 47].randomElement(using: &generator) ?? 6
        var packet: [UInt8] = [0x45 + UInt8(options / 4), 0, 0, 60, 0, 1]
        packet += piece
        packet += [64, transport, 0, 0]
        for part in [address(), address(), bytes(options), port(), port(), bytes(16)] { packet += part }
        return packet
    }

    private mutating func version6(_ extensions: Bool) -> [UInt8] {
        let transport: UInt8 = [58, 6, 17, 132, 47].randomElement(using: &generator) ?? 6
        let head: [UInt8] = [0x60, 0, 0, 0, 0, 40]
        let payload = port() + port() + bytes(16)
        guard extensions else { return head + [transport, 64] + address6() + address6() + payload }
        // Hop by hop of 16 bytes, authentication of 12, the first piece.
        var between: [UInt8] = [51, 1]
        for part in [bytes(14), [44, 1], bytes(10), [transport, 0, 0, 1], bytes(4)] { between += part }
        return head + [0, 64] + address6() + address6() + between + payload
    }
}
