/// Writes a `newc` cpio archive, the form in which the kernel takes its initial file system.
///
/// Everything belongs to root and bears no time, so that the same files always make the same bytes.
/// Source: Documentation/driver-api/early-userspace/buffer-format.rst.
struct InitialFileArchive {
    private(set) var bytes: [UInt8] = []
    private var inodeNumber: UInt32 = 0

    mutating func addFolder(_ path: String) { add(path, mode: 0o040755, content: []) }

    mutating func addFile(_ path: String, mode: UInt32 = 0o644, content: [UInt8]) {
        add(path, mode: 0o100000 | mode, content: content)
    }

    /// Ends the archive; it must not be added to afterwards.
    mutating func finish() {
        inodeNumber = 0
        add("TRAILER!!!", mode: 0, content: [], number: 0)
    }

    private mutating func add(_ path: String, mode: UInt32, content: [UInt8]) {
        inodeNumber += 1
        add(path, mode: mode, content: content, number: inodeNumber)
    }

    private mutating func add(_ path: String, mode: UInt32, content: [UInt8], number: UInt32) {
        let name = Array(path.utf8) + [0]
        bytes += Array("070701".utf8)
        let fields: [UInt32] = [
            number, mode, 0, 0, 1, 0, UInt32(truncatingIfNeeded: content.count), 0, 0, 0, 0,
            UInt32(truncatingIfNeeded: name.count), 0,
        ]
        for field in fields {
            for shift in stride(from: UInt32(28), through: 0, by: -4) {
                bytes.append(Array("0123456789ABCDEF".utf8)[Int(field >> shift & 15)])
            }
        }
        bytes += name
        pad()
        bytes += content
        pad()
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}
