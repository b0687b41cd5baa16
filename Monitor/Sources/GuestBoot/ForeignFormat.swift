/// What a file looks like that is no kernel image, so that the message can say what would do.
public enum ForeignFormat: Equatable, Sendable {
    case gzip, lz4, zstd, xz, bzip2, lzma, lzop
    case arm64Image
    /// A PE program with a compressed kernel inside.
    case efiCompressedKernel
    case efiProgram
    case cpioArchive
    case debianPackage
    case tarArchive
    case erofsDisk
    case extDisk
    case qcow2Disk
    case partitionedDisk
    case script
    case text
    case zeroes
    case unknown

    /// Judges by the file's first bytes.
    init(head: LittleEndianFields) {
        for (magic, offset, format) in Self.magics where head.has(magic, at: offset) {
            self = format
            return
        }
        if head.count > 0, head.bytes.allSatisfy({ $0 == 0 }) {
            self = .zeroes
        } else if head.bytes.allSatisfy({ ($0 >= 0x20 && $0 < 0x7f) || ($0 >= 9 && $0 <= 13) }) {
            self = .text
        } else {
            self = .unknown
        }
    }

    private static var magics: [([UInt8], Int, ForeignFormat)] {
        [
            ([0x1f, 0x8b], 0, .gzip),
            ([0x04, 0x22, 0x4d, 0x18], 0, .lz4), ([0x02, 0x21, 0x4c, 0x18], 0, .lz4),
            ([0x28, 0xb5, 0x2f, 0xfd], 0, .zstd),
            ([0xfd, 0x37, 0x7a, 0x58, 0x5a], 0, .xz),
            ([0x42, 0x5a, 0x68], 0, .bzip2),
            ([0x5d, 0x00, 0x00], 0, .lzma),
            ([0x89, 0x4c, 0x5a, 0x4f], 0, .lzop),
            // "ARM\x64"; such an image may be a PE program as well, so this comes before those.
            ([0x41, 0x52, 0x4d, 0x64], 0x38, .arm64Image),
            ([0x4d, 0x5a, 0x00, 0x00, 0x7a, 0x69, 0x6d, 0x67], 0, .efiCompressedKernel),
            ([0x4d, 0x5a], 0, .efiProgram),
            ([0x30, 0x37, 0x30, 0x37, 0x30], 0, .cpioArchive),
            (Array("!<arch>".utf8), 0, .debianPackage),
            (Array("ustar".utf8), 257, .tarArchive),
            ([0xe2, 0xe1, 0xf5, 0xe0], 1024, .erofsDisk),
            ([0x53, 0xef], 1080, .extDisk),
            ([0x51, 0x46, 0x49, 0xfb], 0, .qcow2Disk),
            (Array("#!".utf8), 0, .script),
            ([0x55, 0xaa], 510, .partitionedDisk),
        ]
    }

    /// What it looks like, in words that follow "it looks like".
    var words: String {
        switch self {
        case .gzip: "a gzip file; unpack it with gunzip and give what comes out"
        case .lz4: "an LZ4 file; unpack it with lz4 -d and give what comes out"
        case .zstd: "a zstd file; unpack it with zstd -d and give what comes out"
        case .xz: "an xz file; unpack it with xz -d and give what comes out"
        case .bzip2: "a bzip2 file; unpack it with bunzip2 and give what comes out"
        case .lzma: "an LZMA file; unpack it with xz --format=lzma -d and give what comes out"
        case .lzop: "an LZO file; unpack it with lzop -d and give what comes out"
        case .arm64Image: "a kernel for arm64; give one for x86-64"
        case .efiCompressedKernel: "a compressed EFI kernel for another processor; give an x86-64 vmlinux or bzImage"
        case .efiProgram: "an EFI or Windows program without a Linux boot header; give a vmlinux or bzImage"
        case .cpioArchive: "a cpio archive; are kernel and initial RAM disk interchanged?"
        case .debianPackage: "a Debian package; the kernel is the file boot/vmlinuz-* in it"
        case .tarArchive: "a tar archive; give the kernel that is in it"
        case .erofsDisk: "an EROFS disk; it belongs among the drives"
        case .extDisk: "an ext file system; it belongs among the drives"
        case .qcow2Disk: "a qcow2 disk; kernels are ELF or bzImage files"
        case .partitionedDisk: "a disk with a boot sector; it belongs among the drives"
        case .script: "a script; kernels are ELF or bzImage files"
        case .text: "text; kernels are ELF or bzImage files"
        case .zeroes: "a file of zeroes, perhaps a copy that was cut off; copy it again"
        case .unknown: "nothing that is known here; give an x86-64 vmlinux (ELF) or bzImage"
        }
    }
}
