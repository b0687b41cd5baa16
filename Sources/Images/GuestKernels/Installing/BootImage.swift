/// A bzImage: where its compressed kernel lies, and how it is compressed.
///
/// Source: Documentation/arch/x86/boot.rst, `setup_sects` 0x1f1, `header` 0x202, `payload_offset` 0x248,
/// `payload_length` 0x24c; the payload's format is told by its first bytes.
struct BootImage: Equatable {
    enum Compression: String, CaseIterable {
        case gzip, bzip2, xz, lz4, zstd

        var magic: [UInt8] {
            switch self {
            case .gzip: [0x1f, 0x8b]
            case .bzip2: [0x42, 0x5a, 0x68]
            case .xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]
            case .lz4: LZ4LegacyFrame.magic
            case .zstd: [0x28, 0xb5, 0x2f, 0xfd]
            }
        }

        /// The program that writes its content to standard output, and the package it is in.
        var tool: (arguments: [String], package: String) {
            switch self {
            case .gzip: (["gzip", "-dc"], "gzip")
            case .bzip2: (["bzip2", "-dc"], "bzip2")
            case .xz: (["xz", "-dc"], "xz-utils")
            case .lz4: (["lz4", "-dc"], "lz4")
            case .zstd: (["zstd", "-dcq"], "zstd")
            }
        }
    }

    let payload: Range<Int>
    let compression: Compression

    /// Nil unless `bytes` are a bzImage with a payload of a known format that lies inside them.
    init?(_ bytes: Span<UInt8>) {
        func number(_ offset: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        }
        guard bytes.count > 0x250, number(0x202) == 0x5372_6448 else { return nil }
        let sectors = bytes[0x1f1] == 0 ? 4 : Int(bytes[0x1f1])
        let start = (sectors + 1) * 512 + number(0x248)
        let length = number(0x24c)
        guard start < bytes.count, length > 8, length <= bytes.count - start else { return nil }
        let found = Compression.allCases.first { kind in
            kind.magic.indices.allSatisfy { bytes[start + $0] == kind.magic[$0] }
        }
        guard let found else { return nil }
        compression = found
        // The build appends the uncompressed size to every format but gzip, which has it anyway.
        payload = start..<(start + length - (found == .gzip ? 0 : 4))
    }
}
