/// Reads the frame format that the kernel's build uses for LZ4: a magic number, then blocks, each after its length.
///
/// The bytes come from a package; every length in them is checked here.
/// Source: lz4_Frame_format.md, "Legacy frame"; lz4_Block_format.md.
enum LZ4LegacyFrame {
    static let magic: [UInt8] = [0x02, 0x21, 0x4c, 0x18]

    /// The most that one block may hold.
    static let blockLimitBytes = 8 << 20

    /// - Returns: nil when the frame is damaged or grows above `limitBytes`. What follows the last whole block is ignored.
    static func decompress(_ input: Span<UInt8>, limitBytes: Int) -> [UInt8]? {
        guard input.count >= 4, (0..<4).allSatisfy({ input[$0] == magic[$0] }) else { return nil }
        var output: [UInt8] = []
        var position = 4
        while position + 4 <= input.count {
            let size =
                Int(input[position]) | Int(input[position + 1]) << 8 | Int(input[position + 2]) << 16
                | Int(input[position + 3]) << 24
            position += 4
            // The kernel's build appends the uncompressed size, which reads like a block that is longer than what is left.
            guard size > 0, size <= input.count - position else { break }
            let limit = min(limitBytes, output.count + blockLimitBytes)
            guard decompressBlock(input.extracting(position..<(position + size)), into: &output, limit: limit) else {
                return nil
            }
            position += size
        }
        return output.isEmpty ? nil : output
    }

    /// Appends one block's content; false when it is damaged or `output` would grow above `limit`.
    private static func decompressBlock(_ input: Span<UInt8>, into output: inout [UInt8], limit: Int) -> Bool {
        let blockStart = output.count
        var position = 0
        while position < input.count {
            let token = input[position]
            position += 1
            guard let literals = length(Int(token >> 4), in: input, &position),
                literals <= input.count - position, literals <= limit - output.count
            else { return false }
            for index in position..<(position + literals) { output.append(input[index]) }
            position += literals
            if position == input.count { return true }
            guard position + 2 <= input.count else { return false }
            let distance = Int(input[position]) | Int(input[position + 1]) << 8
            position += 2
            guard let match = length(Int(token & 15), in: input, &position), match + 4 <= limit - output.count,
                distance > 0, distance <= output.count - blockStart
            else { return false }
            var source = output.count - distance
            for _ in 0..<(match + 4) {
                output.append(output[source])
                source += 1
            }
        }
        return false
    }

    /// A length whose first four bits are `start`: 15 means that bytes follow, each 255 that one more does.
    private static func length(_ start: Int, in input: Span<UInt8>, _ position: inout Int) -> Int? {
        var length = start
        if start < 15 { return length }
        while position < input.count {
            let byte = input[position]
            position += 1
            length += Int(byte)
            if byte != 255 { return length }
        }
        return nil
    }
}
