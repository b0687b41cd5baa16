import HostFiles
import NIOCore

/// A part of a blob on its way out, piece by piece as the connection takes it.
struct BlobPart: AsyncSequence, Sendable {
    let source: any BlobSource
    let range: Range<UInt64>
    let pace: TransferPace
    let progress: @Sendable (UInt64) -> Void

    private static let pieceBytes = 1 << 18

    func makeAsyncIterator() -> Iterator { Iterator(part: self, offset: range.lowerBound) }

    struct Iterator: AsyncIteratorProtocol {
        let part: BlobPart
        var offset: UInt64
        var buffer = [UInt8](repeating: 0, count: BlobPart.pieceBytes)

        mutating func next() async throws -> ByteBuffer? {
            guard offset < part.range.upperBound else { return nil }
            let wanted = Int(Swift.min(UInt64(buffer.count), part.range.upperBound - offset))
            let count = try part.source.read(wanted, at: offset, into: &buffer)
            guard count > 0 else {
                throw RegistryError(
                    .unusableFile, "what is sent is shorter than announced; it changed while it was read")
            }
            offset += UInt64(count)
            part.pace.moved(UInt64(count))
            part.progress(offset)
            return ByteBuffer(bytes: buffer[..<count])
        }
    }
}
