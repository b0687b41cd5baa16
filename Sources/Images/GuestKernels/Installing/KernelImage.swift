import HostFiles

/// What a kernel file is, as far as its first bytes say.
enum KernelImage {
    /// The architecture of an uncompressed ELF kernel, in the kernel's words.
    /// - Throws: `invalidKernel` for anything else.
    static func architecture(ofFile path: String) throws(KernelError) -> String {
        var header = [UInt8](repeating: 0, count: 64)
        try storing { () throws(HostFileError) in
            _ = try HostFile(HostPath(path)).read(64, at: 0, into: &header)
        }
        guard let name = architecture(ofHeader: header) else {
            throw KernelError(
                .invalidKernel, "\(path) is not an uncompressed 64-bit ELF kernel; `file \(path)` says what it is")
        }
        return name
    }

    /// Source: System V ABI, chapter 4, "ELF Header"; machine numbers 62 and 183.
    static func architecture(ofHeader header: [UInt8]) -> String? {
        guard header.count >= 20, Array(header[0..<6]) == [0x7f, 0x45, 0x4c, 0x46, 2, 1] else { return nil }
        switch UInt16(header[18]) | UInt16(header[19]) << 8 {
        case 62: return "x86_64"
        case 183: return "aarch64"
        default: return nil
        }
    }
}
